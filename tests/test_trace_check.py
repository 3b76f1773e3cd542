"""A trace is held to its shapes, ranges and lengths when it is read; what generators make passes."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from dmm.models.registry import list_models
from dmm.trace import StageTrace, Trace, TraceError
from tests.explorer.handmade import make_trace
from tests.explorer.toy import toy_system


def saved(tmp_path, change) -> str:
    """The hand-made trace after ``change``, as a file."""
    trace = make_trace()
    change(trace)
    trace.save(tmp_path / "a.npz")
    return tmp_path / "a.npz"


def texts(tmp_path, **changes) -> str:
    """The hand-made trace with other texts in its JSON."""
    path = saved(tmp_path, lambda trace: None)
    with np.load(path) as file:
        arrays = dict(file)
    found = json.loads(arrays.pop("json").tobytes()) | changes
    np.savez_compressed(path, json=np.frombuffer(json.dumps(found).encode(), np.uint8), **arrays)
    return path


MARKUP = '<img src=x onerror="alert(1)">'
TEXTS = {
    "captions null": {"captions": None, "words": None, "seeds": "none"},
    "captions a string": {"captions": "a bird"},
    "captions of numbers": {"captions": [3]},
    "captions of two samples": {"captions": ["a", "b"]},
    "no captions": {"captions": []},
    "words of one row too many": {"words": [["a"], ["b"]]},
    "words short": {"words": [["a", "bird"]]},
    "words that are none": {"words": [[1] * 9]},
    "words flat": {"words": ["a"] * 9},
    "seeds with markup": {"seeds": [MARKUP]},
    "seeds true": {"seeds": [True]},
    "seeds with a point": {"seeds": [0.5]},
    "huge seeds": {"seeds": [10**30]},
    "redescription null": {"stages.1.redescription": [None]},
    "redescription of two": {"stages.1.redescription": ["a", "b"]},
    "a picture as text": {"stages.1.image": "a"},
    "stages of text": {"stages": MARKUP},
    "stages negative": {"stages": -1},
    "too many stages": {"stages": 10**9},
    "too few stages": {"stages": 1},
    "deep nesting": {"captions": None, "more": None},
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_that_do_not_fit(tmp_path, kind):
    path = texts(tmp_path, **TEXTS[kind])
    with pytest.raises(TraceError) as error:
        Trace.load(path)
    assert "a.npz" in str(error.value) and str(error.value).isprintable() and len(str(error.value)) < 600


def test_brackets_without_end(tmp_path):
    path = saved(tmp_path, lambda trace: None)
    np.savez(path, json=np.frombuffer(b"[" * 50_000, np.uint8))
    with pytest.raises(TraceError, match="too deep"):
        Trace.load(path)


def first(name, value):
    return lambda trace: setattr(trace.stages[1], name, value)


TENSORS = {
    "all masked": lambda trace: setattr(trace, "mask", torch.ones(1, 9, dtype=torch.bool)),
    "mask of numbers": lambda trace: setattr(trace, "mask", torch.zeros(1, 9)),
    "mask short": lambda trace: setattr(trace, "mask", torch.zeros(1, 8, dtype=torch.bool)),
    "0-d map": first("addressing", torch.tensor(1.0)),
    "empty map": first("addressing", torch.zeros(1, 9, 0, 0)),
    "map of another length": first("addressing", torch.zeros(1, 8, 64, 64)),
    "map that is not finite": first("addressing", torch.full((1, 9, 64, 64), float("nan"))),
    "map above one": first("addressing", torch.full((1, 9, 64, 64), 2.0)),
    "gate below zero": first("writing_gate", torch.full((1, 1, 9), -0.5)),
    "picture of one channel": first("image", torch.zeros(1, 1, 128, 128)),
    "picture not square": first("image", torch.zeros(1, 3, 128, 64)),
    "picture of integers": first("image", torch.zeros(1, 3, 128, 128, dtype=torch.int64)),
    "picture out of range": first("image", torch.full((1, 3, 128, 128), 7.0)),
    "two samples in one field": first("image", torch.zeros(2, 3, 128, 128)),
    "response gate of four paths": first("response_gate", torch.zeros(1, 4, 64, 64)),
    "response gate of another map": first("response_gate", torch.zeros(1, 3, 32, 64)),
    "odd memory": first("memory", torch.zeros(1, 7, 9)),
    "affines of three": first("affines", [torch.zeros(1, 3, 8)]),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_arrays_that_do_not_fit(tmp_path, kind):
    with pytest.raises(TraceError, match=r"a\.npz: expected a trace.*(mask|stages\.1)"):
        Trace.load(saved(tmp_path, TENSORS[kind]))


@pytest.mark.parametrize("system", [entry.name for entry in list_models()])
def test_what_generators_make_is_read_back(tmp_path, system):
    trace = toy_system(system)(["a red bird", "a bird"], seed=1)
    trace.save(tmp_path / "a.npz")
    assert len(Trace.load(tmp_path / "a.npz").stages) == len(trace.stages)


def test_traces_with_little_in_them_are_read_back(tmp_path):
    for number, trace in enumerate((make_trace(), Trace())):
        trace.save(tmp_path / f"{number}.npz")
        assert len(Trace.load(tmp_path / f"{number}.npz").stages) == len(trace.stages)


def test_half_precision_is_read_back(tmp_path):
    make_trace().to(torch.float16).save(tmp_path / "a.npz")  # floats and the mask alike
    with pytest.raises(TraceError, match="mask"):
        Trace.load(tmp_path / "a.npz")


def test_a_file_that_says_it_is_larger_than_it_is(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, json=np.frombuffer(b'{"stages": 0}', np.uint8), code=np.zeros((1, 60_000_000), np.float32))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(TraceError, match="bytes are read"):
        Trace.load(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (1, 1 << 38), "fortran_order": False, "descr": "<f4"})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("json.npy", b"")
        archive.writestr("code.npy", header.getvalue())
    with pytest.raises(TraceError):
        Trace.load(path)


def test_stages_without_texts_are_read(tmp_path):
    Trace(stages=[StageTrace(image=torch.zeros(2, 3, 8, 8))]).save(tmp_path / "a.npz")
    assert Trace.load(tmp_path / "a.npz").captions is None
