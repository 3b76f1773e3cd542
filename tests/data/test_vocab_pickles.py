"""Published pickles: plain content of every protocol is read, everything else is refused, and nothing ever runs."""

from __future__ import annotations

import builtins
import os
import pickle
import random
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from dmm.data.pickles import PickleError, load, loads, read_classes, read_filenames
from dmm.data.vocab import read_captions_pickle

NAMES = {0: "<end>", 1: "this", 2: "bird", 3: "is", 4: "red", 5: "caf\xe9"}
CAPTIONS = [[[1, 2, 3, 4], [4, 2]], [[2]], NAMES, {word: i for i, word in NAMES.items()}]

#: What Python 2 writes for ``[[[1, 2]], [], {0: '<end>', 1: 'red', 2: 'bird'}, {...}]`` under protocols 0 and 2.
PYTHON2 = {
    0: b"(lp0\n(lp1\n(lp2\nI1\naI2\naaa(lp3\na(dp4\nI0\nS'<end>'\np5\nsI1\nS'red'\np6\nsI2\nS'bird'\np7\nsa"
    b"(dp8\ng5\nI0\nsg6\nI1\nsg7\nI2\nsa.",
    2: b"\x80\x02]q\x00(]q\x01]q\x02(K\x01K\x02ea]q\x03}q\x04(K\x00U\x05<end>q\x05K\x01U\x03redq\x06K\x02U\x04birdq\x07u}q\x08(h\x05K\x00"
    b"h\x06K\x01h\x07K\x02ue.",
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_content_comes_back(protocol):
    content = {
        "captions": CAPTIONS,
        "numbers": (1, -2, 3 << 70, 0.5, True, None, b"\x00\xff"),
        "arrays": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(["a", "bc"]), np.zeros((0, 2))],
        "scalars": [np.float32(1.5), np.int64(-7)],
    }
    found = loads(pickle.dumps(content, protocol))
    assert found["captions"] == CAPTIONS and found["numbers"] == content["numbers"] and found["scalars"] == [1.5, -7]
    for ours, theirs in zip(found["arrays"], content["arrays"], strict=True):
        assert type(ours) is np.ndarray and ours.dtype == theirs.dtype and ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("protocol", PYTHON2)
def test_pickles_of_python_2(protocol, tmp_path):
    path = tmp_path / "captions.pickle"
    path.write_bytes(PYTHON2[protocol])
    train, test, vocab = read_captions_pickle(path)
    assert (train, test, vocab.tokens, vocab.convention) == ([[1, 2]], [], ("<end>", "red", "bird"), "pad0")


def test_bytes_that_python_2_called_strings_are_latin1():
    assert loads(b"\x80\x02U\x04caf\xe9q\x00.") == "caf\xe9"


class Reduced:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(marker: Path) -> dict[str, bytes]:
    """Pickles that would touch ``marker`` (or do worse) if they were run."""
    touch = f"touch {marker}"
    nested = pickle.dumps(Reduced(os.system, touch))
    return {
        "os.system": nested,
        "posix.system": f"cposix\nsystem\n(S'{touch}'\ntR.".encode(),
        "inst": f"(S'{touch}'\niposix\nsystem\n.".encode(),
        "obj": f"(cposix\nsystem\nS'{touch}'\no.".encode(),
        "builtins.eval": pickle.dumps(Reduced(builtins.eval, f"open({str(marker)!r}, 'w')")),
        "builtins.exec": pickle.dumps([CAPTIONS, Reduced(builtins.exec, f"open({str(marker)!r}, 'w')")], 2),
        "subprocess": pickle.dumps(Reduced(subprocess.Popen, ["touch", str(marker)])),
        "open": pickle.dumps(Reduced(open, str(marker), "w")),
        "a pickle in a pickle": pickle.dumps(Reduced(pickle.loads, nested)),
        "a call of a call": f"c__builtin__\ngetattr\n(cposix\nsystem\nS'__call__'\ntR(S'{touch}'\ntR.".encode(),
        "torch tensors": pickle.dumps(torch.ones(2)),
        "torch rebuild": pickle.dumps(Reduced(torch._utils._rebuild_tensor_v2, None, 0, (1,), (1,), False, OrderedDict())),
        "torch storage": pickle.dumps(Reduced(torch.storage._load_from_bytes, nested)),
        "object array": pickle.dumps(np.array([Reduced(os.system, touch)], dtype=object)),
        "object array by hand": b"cnumpy\ndtype\n(S'O'\nI00\nI01\ntR.",
        "structured dtype": pickle.dumps(np.zeros(1, [("a", "i4")])),
        "a state with objects": b"cnumpy\ndtype\n(S'i8'\nI00\nI01\ntR(I3\nS'<'\nN(S'a'\nt(dNNtb.",
        "a changed class": b"cnumpy\nndarray\n(dS'x'\nI1\nsb.",
        "a call of a class": b"cnumpy\nndarray\n(tR.",
        "persistent id": b"Pos.system\n.",
        "extension code": b"\x80\x02\x82\x01.",
        "new object": pickle.dumps(Path("x"), 2),
        "a number called": b"I1\n(tR.",
        "a list called": b"](tR.",
        "nested keys": b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"K\x01s.",
        "a huge memo": b"\x80\x02]r\xff\xff\xff\xffh\x00.",
        "a huge frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "a huge string": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    }


@pytest.mark.parametrize("name", hostile(Path("marker")))
def test_a_hostile_pickle_is_refused_and_nothing_runs(name, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "captions.pickle"
    path.write_bytes(hostile(marker)[name])
    for read in (load, read_captions_pickle, read_filenames, read_classes):
        with pytest.raises(PickleError) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_names_what_was_asked_for():
    with pytest.raises(PickleError, match="refused to load posix.system"):
        loads(pickle.dumps(Reduced(os.system, "true")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "found a dict"),
        ([[], []], "found a list of 2"),
        ([[], [], {1: "red"}, {}], "no word for id 0"),
        ([[], [], {0: "<end>", 1: 5}, {}], "no word for id 1"),
        ([[], [], {0: "<end>", 1: "red"}, {"<end>": 0, "red": 2}], "contradict each other about 'red'"),
        ([[], [], {0: "red", 1: "bird"}, {"red": 0, "bird": 1}], "the first ids are"),
        ([[], [], {0: "<end>", 1: "red", 2: "red"}, {}], "twice"),
        ([[[1, 7]], [], {0: "<end>", 1: "red"}, {}], "caption 0 holds 7; expected ids from 0 to 1"),
        ([[["red"]], [], {0: "<end>", 1: "red"}, {}], "caption 0 holds a str"),
        ([[1, 2], [], {0: "<end>", 1: "red"}, {}], "captions as lists of ids"),
    ],
)
def test_captions_of_another_shape_are_refused(content, said, tmp_path):
    path = tmp_path / "captions.pickle"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(PickleError, match=said):
        read_captions_pickle(path)


def test_captions_that_share_one_huge_list_are_refused(tmp_path):
    path = tmp_path / "captions.pickle"
    one = [1] * 2000
    path.write_bytes(pickle.dumps([[one] * 2000, [], {0: "<end>", 1: "red"}, {}]))
    with pytest.raises(PickleError, match="captions as lists of ids"):
        read_captions_pickle(path)


def test_file_names_and_classes(tmp_path):
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps(["001.Albatross/a", "002/b"], 0))
    assert read_filenames(path) == ["001.Albatross/a", "002/b"]
    with pytest.raises(PickleError, match="expected a list of class numbers, found a list of 2"):
        read_classes(path)
    for classes in ([3, 4], np.array([3, 4]), [np.int64(3), np.int64(4)]):
        path.write_bytes(pickle.dumps(classes, 2))
        assert read_classes(path) == [3, 4]
    with pytest.raises(PickleError, match="expected a list of file names"):
        read_filenames(path)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_random_corruptions_give_the_one_error_or_plain_captions(protocol, tmp_path):
    whole, path, rng = pickle.dumps(CAPTIONS, protocol), tmp_path / "captions.pickle", random.Random(protocol)
    for _ in range(400):
        damaged = bytearray(whole)
        if rng.random() < 0.3:
            damaged = damaged[: rng.randrange(len(whole))]
        for _ in range(rng.randint(1, 4)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            train, test, vocab = read_captions_pickle(path)
        except PickleError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert all(type(i) is int and i < len(vocab) for row in train + test for i in row)
    assert list(tmp_path.iterdir()) == [path]
