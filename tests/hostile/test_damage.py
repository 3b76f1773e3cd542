"""Each kind of file, damaged in each way: an exit code, a line that can be printed, little time and memory, and nothing written."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmm.checkpoint import FILE, build, save
from dmm.cli import app
from dmm.config import ModelConfig
from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.data.vocab import Vocabulary
from dmm.pipeline import Pipeline
from explorer.ballots import COLUMNS
from explorer.cli import app as explorer
from tests.data import layouts
from tests.explorer.handmade import write_run
from tests.hostile import sandbox

NOISE = random.Random(0).randbytes(5000)
#: Damage -> (what it makes of the bytes of a file).
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(5000),
    "noise": lambda data: NOISE,
    "a web page": lambda data: b"<!DOCTYPE html><html><body>Sign in</body></html>\n",
    "brackets without end": lambda data: b"[" * 50_000,
    "objects without end": lambda data: b'{"a":' * 50_000,
    "a list": lambda data: b"[]",
    "null": lambda data: b"null",
    "a number": lambda data: b"9" * 4000,
    "control characters": lambda data: b'{"\x1b[31m": "\\u001b]0;x\\u0007"}\n',
    "one long line": lambda data: b"x" * 3_000_000,
}


def own(root: Path) -> Path:
    """A data set of one's own pictures, prepared."""
    layouts.folder(root)
    prepare(open_source(root), sizes=(16,), progress=False)
    return root


def own_csv(root: Path) -> Path:
    layouts.folder(root, 2)
    (root / "metadata.jsonl").unlink()
    layouts.write(root / "metadata.csv", "file_name,text\n0.png,a\n1.png,b\n")
    return root


def birds(root: Path) -> Path:
    layouts.birds(root)
    shutil.rmtree(root / "text")
    layouts.captions_pickle(root)
    return root


def model(root: Path) -> Path:
    """A tiny model that generates."""
    torch.manual_seed(0)
    config = ModelConfig("dmgan", widths=(8, 8, 8), noise_dim=4, condition_dim=6, text_dim=16, embedding_dim=8, convention="pad0")
    vocab = Vocabulary(["red", "bird"], "pad0")
    save(Pipeline(config, vocab, build("generator", config, vocab), build("text_encoder", config, vocab)), root)
    return root


def weights(root: Path) -> Path:
    layouts.captions_pickle(root)
    torch.save({"embedding.weight": torch.zeros(4, 8)}, root / "x.pth")
    return root


def traces(root: Path) -> Path:
    return write_run(root / "run", begins=10).parent


def split_by_class(root: Path) -> Path:
    layouts.write(layouts.cub(root) / "testclasses.txt", "002.Teal\n")
    return root


def split_by_lists(root: Path) -> Path:
    layouts.write(layouts.folder(root) / "test.txt", "0.png\n")
    return root


def beside(root: Path) -> Path:
    for name in "ab":
        layouts.picture(root / f"{name}.png")
        layouts.write(root / f"{name}.txt", "a red bird\n")
    return root


def archive(root: Path) -> Path:
    layouts.folder(root / "birds")
    shutil.make_archive(str(root / "birds"), "zip", root / "birds")
    shutil.rmtree(root / "birds")
    return root


def votes(root: Path) -> Path:
    rows = [",".join(COLUMNS), "0,a bird,1,ann,one,two,one", "1,a bird,2,ann,two,one,one"]
    layouts.write(root / "votes.csv", "\n".join(rows) + "\n")
    return root


def records(root: Path) -> Path:
    layouts.write(root / "results" / "a.json", "{}")
    return root


CHECK = ["data", "check", "{root}", "--workers", "1"]
TRAIN = ["train", "match", "--dry-run", "--set", "source={root}", "--set", "sizes=16"]
CONVERT = ["convert", "--system", "dmgan"]
FIGURE = ["figures", "memory-learning", "--run", "{root}/run", "--out", "{root}/figures"]
VOTES = ["figures", "dmmgan-vote", "--votes", "{root}/votes.csv", "--out", "{root}/figures"]
#: Kind of file -> (what makes it, the file, the command that reads it, exit codes: 1 problems of some rows, 2 not to be used).
KINDS = {
    "metadata.jsonl": (own, "metadata.jsonl", CHECK, {1, 2}),
    "metadata.csv": (own_csv, "metadata.csv", CHECK, {2}),
    "a picture": (own, "1.png", CHECK, {1}),
    "images.txt": (layouts.cub, "images.txt", CHECK, {1, 2}),
    "boxes": (layouts.cub, "bounding_boxes.txt", CHECK, {1, 2}),
    "split": (layouts.cub, "train_test_split.txt", CHECK, {1, 2}),
    "captions of CUB": (layouts.cub, "text/001.Wren/a.txt", CHECK, {0, 1}),
    "filenames.pickle": (birds, "train/filenames.pickle", CHECK, {2}),
    "class_info.pickle": (birds, "train/class_info.pickle", CHECK, {2}),
    "captions.pickle": (birds, "captions.pickle", CHECK, {2}),
    "captions of COCO": (layouts.coco, "annotations/captions_train2017.json", CHECK, {2}),
    "prepared.json": (own, "prepared/prepared.json", TRAIN, {2}),
    "pictures.jsonl": (own, "prepared/pictures.jsonl", TRAIN, {2}),
    "words.json": (own, "prepared/words.json", TRAIN, {2}),
    "16.npy": (own, "prepared/16.npy", TRAIN, {2}),
    "model.safetensors": (model, FILE, ["generate", "red", "--model", "{root}", "--out", "{root}/out"], {2}),
    "published weights": (weights, "x.pth", [*CONVERT, "--network", "text_encoder", "{root}/x.pth", "{root}/out"], {2}),
    "published vocabulary": (weights, "captions.pickle", [*CONVERT, "--vocab", "{root}/captions.pickle", "{root}/out"], {2}),
    "a trace": (traces, "run/traces/0000010.npz", FIGURE, {2}),
    "a run's config": (traces, "run/config.json", FIGURE, {2}),
    "classes of CUB": (layouts.cub, "image_class_labels.txt", CHECK, {1, 2}),
    "classes for testing": (split_by_class, "testclasses.txt", CHECK, {2}),
    "a list of a split": (split_by_lists, "test.txt", CHECK, {2}),
    "captions beside a picture": (beside, "a.txt", CHECK, {0, 1}),
    "a zipped data set": (archive, "birds.zip", ["data", "check", "{root}/birds.zip", "--workers", "1"], {2}),
    "votes": (votes, "votes.csv", VOTES, {2}),
    "a record": (records, "results/a.json", ["report", "--results", "{root}/results"], {2}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], Path]:
    """A folder with the whole files of a kind, made once."""
    made: dict[Callable, Path] = {}

    def make(kind: str) -> Path:
        maker = KINDS[kind][0]
        if maker not in made:
            made[maker] = maker(tmp_path_factory.mktemp("whole"))
        return made[maker]

    return make


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file(whole, tmp_path, kind, damage):
    _, name, command, codes = KINDS[kind]
    root = tmp_path / "data"
    shutil.copytree(whole(kind), root)
    (root / name).write_bytes(DAMAGE[damage]((root / name).read_bytes()))
    before = sandbox.snapshot(tmp_path)
    outcome = sandbox.run(explorer if command in (FIGURE, VOTES) else app, [part.format(root=root) for part in command])
    assert not outcome.error and outcome.code in codes, outcome
    said = [line for line in outcome.said.splitlines() if line]
    assert said and all(line.isprintable() and len(line) < 1500 for line in said), outcome.said[:2000]
    assert Path(name).name in outcome.said or (codes != {2} and str(root) in outcome.said), "the message names the file"
    assert sandbox.snapshot(tmp_path) == before


@pytest.mark.parametrize("kind", [kind for kind, (_, _, command, _) in KINDS.items() if command is CHECK])
def test_the_whole_files_are_taken(whole, kind):
    outcome = sandbox.run(app, [part.format(root=whole(kind)) for part in CHECK])
    assert outcome.code == 0 and not outcome.error, outcome


# --- files made to ask for much


def bomb_config(root: Path, **changes) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from dmm.checkpoint import digest

    with safe_open(root / FILE, framework="pt") as file:
        metadata, tensors = dict(file.metadata()), {key: file.get_tensor(key) for key in file.keys()}
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | changes)
    metadata["digest"] = digest(metadata)
    save_file(tensors, root / FILE, metadata)


CONFIGS = {
    "residuals": {"residuals": 10**9},
    "text_dim": {"text_dim": 16384},
    "width": {"widths": [16384] * 3},
    "many widths": {"widths": [8] * 10**5},
    "63 bits": {"noise_dim": 1 << 63},
    "huge": {"condition_dim": 10**30},
    "NaN dropout": {"text_dropout": float("nan")},
    "NaN scale": {"noise_scale": float("nan")},
    "endless scale": {"noise_truncation": float("inf")},
    "a long word": {"system": "x" * 10**6},
    "a list": {"system": [[[[]]]]},
    "an unknown key": {"\x1b[31m" + "k" * 10**5: 1},
    "a word": {"embedding_dim": "x" * 10**6},
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_configs_that_ask_for_too_much(whole, tmp_path, kind):
    shutil.copytree(whole("model.safetensors"), tmp_path / "m")
    bomb_config(tmp_path / "m", **CONFIGS[kind])
    before = sandbox.snapshot(tmp_path)
    outcome = sandbox.run(app, ["generate", "red", "--model", str(tmp_path / "m"), "--out", str(tmp_path / "out")])
    assert outcome.code == 2 and not outcome.error, outcome
    assert outcome.said.count("\n") == 1 and outcome.said.strip().isprintable() and len(outcome.said) < 1200
    assert sandbox.snapshot(tmp_path) == before


def copied(count: int) -> bytes:
    """A pickle that copies one string of a megabyte again and again."""
    begin = b"\x80\x02c_codecs\nencode\nq\x00X" + (1_000_000).to_bytes(4, "little") + b"a" * 1_000_000 + b"q\x01U\x06latin1q\x02"
    return begin + b"h\x00h\x01h\x02\x86Rq\x030" * count + b"N."


PICKLES = {
    "copies": copied(100_000),
    "lists": b"\x80\x04" + b"]" * 3_000_000 + b".",
    "marks": b"\x80\x04" + b"(" * 3_000_000 + b".",
    "memo": b"\x80\x04N" + b"\x94" * 3_000_000 + b".",
    "equal hashes": b"\x80\x02}("
    + b"".join(b"\x8a\x0b" + (((1 << 61) - 1) * (k + 1)).to_bytes(11, "little") + b"N" for k in range(50_000))
    + b"u.",
    "a tower of pairs": b"\x80\x02]" + b"2\x86" * 200 + b".",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_that_ask_for_more_than_they_hold(tmp_path, kind):
    (tmp_path / "captions.pickle").write_bytes(PICKLES[kind])
    before = sandbox.snapshot(tmp_path)
    outcome = sandbox.run(app, [*CONVERT, "--vocab", str(tmp_path / "captions.pickle"), str(tmp_path / "out")], seconds=10)
    assert outcome.code == 2 and not outcome.error and "captions.pickle" in outcome.said, outcome
    assert sandbox.snapshot(tmp_path) == before


def deflated(path: Path) -> None:
    """The same archive, compressed, so that a megabyte asks for a gigabyte."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


WEIGHTS = {  # -> (state dict, what is done to the file, what is said)
    "deflated": ({"embedding.weight": torch.zeros(1 << 20)}, deflated, "compressed"),
    "repeated rows": ({"embedding.weight": torch.zeros(1, 8).expand(1 << 25, 8)}, None, "repeats a smaller tensor|larger ones"),
    "NaN": ({"embedding.weight": torch.full((4, 8), float("nan"))}, None, "NaN or infinite"),
    "infinite in half": ({"embedding.weight": torch.full((4, 8), float("inf")).half()}, None, "NaN or infinite"),
    "too large for fp32": ({"embedding.weight": torch.full((4, 8), 1e300, dtype=torch.float64)}, None, "NaN or infinite"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_ask_for_more_than_they_hold(tmp_path, kind):
    state, change, said = WEIGHTS[kind]
    torch.save(state, tmp_path / "x.pth")
    if change is not None:
        change(tmp_path / "x.pth")
    before = sandbox.snapshot(tmp_path)
    outcome = sandbox.run(app, [*CONVERT, "--network", "text_encoder", str(tmp_path / "x.pth"), str(tmp_path / "out")])
    assert outcome.code == 2 and not outcome.error and re.search(said, outcome.said.replace("\n", " ")), outcome
    assert sandbox.snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["running_var", "weight"])
def test_finite_weights_whose_pictures_are_not(whole, tmp_path, name):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(whole("model.safetensors") / FILE, framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    (tmp_path / "m").mkdir()
    ruined = [key for key in tensors if key.startswith("generator.") and key.endswith(name) and tensors[key].is_floating_point()]
    save_file(tensors | {key: torch.full_like(tensors[key], -60_000) for key in ruined}, tmp_path / "m" / FILE, metadata)
    before = sandbox.snapshot(tmp_path)
    outcome = sandbox.run(app, ["generate", "red", "--model", str(tmp_path / "m"), "--out", str(tmp_path / "out")], seconds=20)
    assert ruined and outcome.code == 2 and not outcome.error and "not finite" in outcome.said, outcome
    assert sandbox.snapshot(tmp_path) == before


def test_a_picture_that_is_far_larger_than_its_file(tmp_path):
    layouts.folder(tmp_path, 2)
    Image.new("1", (9400, 9400)).save(tmp_path / "1.png")
    outcome = sandbox.run(app, [part.format(root=tmp_path) for part in CHECK])
    assert outcome.code == 1 and not outcome.error and "px a byte" in outcome.said, outcome


ROWS = {
    "a negative row": {"row": -1},
    "a row twice": {"row": 1},
    "a row beyond the end": {"row": 10**6},
    "a row of text": {"row": "0"},
    "a row that is true": {"row": True},
    "captions of text": {"captions": "a bird"},
    "no captions": {"captions": []},
    "another split": {"split": "maybe"},
    "a class of text": {"class": "a"},
    "a key of nothing": {"key": None},
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_would_train_on_another_picture(whole, tmp_path, kind):
    root = tmp_path / "data"
    shutil.copytree(whole("pictures.jsonl"), root)
    path = root / "prepared" / "pictures.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(lines[0]) | ROWS[kind]), *lines[1:]]) + "\n")
    outcome = sandbox.run(app, [part.format(root=root) for part in TRAIN])
    assert outcome.code == 2 and not outcome.error and "prepare" in outcome.said, outcome


def test_an_array_that_asks_for_much(whole, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(whole("16.npy"), root)
    with open(root / "prepared" / "16.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": (1 << 39, 3, 19, 19), "fortran_order": False, "descr": "|u1"})
    outcome = sandbox.run(app, [part.format(root=root) for part in TRAIN])
    assert outcome.code == 2 and not outcome.error and "16.npy" in outcome.said, outcome
