"""What people's own folders look like: other column names, a text file beside each picture, lists of splits, one .zip."""

import json
import stat
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dmm.cli import app
from dmm.data.sources import SourceError, open_source
from dmm.data.zipped import folder_of
from tests.data import layouts


def beside(root: Path, names=("a", "b", "sub/c")) -> Path:
    for name in names:
        layouts.picture(root / f"{name}.png")
        layouts.write(root / f"{name}.txt", f"a bird called {Path(name).name}\na second caption\n")
    return root


def said(source) -> str:
    return "\n".join(f"{where}: {what}" for where, what in source.problems)


@pytest.mark.parametrize(("file", "text"), [("image", "caption"), ("path", "prompt"), ("filename", "description")])
def test_other_column_names(tmp_path, file, text):
    layouts.picture(tmp_path / "0.png")
    layouts.write(tmp_path / "metadata.jsonl", json.dumps({file: "0.png", text: "a red bird", "url": "x"}) + "\n")
    source = open_source(tmp_path)
    assert source.captions(0) == ["a red bird"] and source.notes == ["columns that are not read: 'url'"]
    (tmp_path / "metadata.jsonl").unlink()
    layouts.write(tmp_path / "metadata.csv", f"{file},{text}\n0.png,a red bird\n")
    assert open_source(tmp_path).captions(0) == ["a red bird"]


def test_a_text_file_beside_each_picture(tmp_path):
    source = open_source(beside(tmp_path))
    assert source.format == "pictures with a text file beside each" and not source.problems
    assert [record.key for record in source.records] == ["a", "b", "sub/c"] and {record.split for record in source.records} == {"train"}
    assert source.captions(2) == ["a bird called c", "a second caption"]


def test_what_lacks_beside(tmp_path):
    beside(tmp_path)
    layouts.picture(tmp_path / "alone.png")
    layouts.write(tmp_path / "lost.txt", "a caption")
    layouts.picture(tmp_path / "b.jpg")
    source = open_source(tmp_path)
    assert [record.key for record in source.records] == ["a", "sub/c"]
    assert "alone.txt: no caption" in said(source) and "lost.txt: captions without a picture" in said(source)
    assert "b.txt: stands beside b.jpg and b.png" in said(source)


def test_folders_of_splits_with_text_files(tmp_path):
    beside(tmp_path, ("train/a", "test/b", "validation/c"))
    assert [record.split for record in sorted(open_source(tmp_path).records)] == ["test", "train", "test"]


@pytest.mark.parametrize("layout", ["folder", "beside"])
def test_lists_of_splits(tmp_path, layout):
    layouts.folder(tmp_path, 3) if layout == "folder" else beside(tmp_path, ("0", "1", "2"))
    layouts.write(tmp_path / "train.txt", "0.png\n1\n")
    layouts.write(tmp_path / "test.txt", "\ufeff2.png\r\n9.png\r\n../x.png\r\n")
    source = open_source(tmp_path, layout)
    assert {record.key: record.split for record in source.records} == {"0": "train", "1": "train", "2": "test"}
    assert "test.txt:2: no picture '9.png'" in said(source) and "leaves it" in said(source)
    assert source.notes == ["split: train.txt and test.txt: 2 to train on, 1 to test"]


def test_one_list_says_the_rest_and_two_that_disagree_leave_out(tmp_path):
    beside(tmp_path, ("0", "1", "2"))
    layouts.write(tmp_path / "test.txt", "2\n")
    assert {record.key: record.split for record in open_source(tmp_path).records} == {"0": "train", "1": "train", "2": "test"}
    layouts.write(tmp_path / "train.txt", "0\n2\n")
    source = open_source(tmp_path)
    assert [record.key for record in source.records] == ["0"]
    assert "2.png: both in train and in test" in said(source) and "1.png: in none of the lists" in said(source)
    layouts.write(tmp_path / "test.txt", "nothing\n")
    with pytest.raises(SourceError, match=r"test\.txt: expected names of the folder's pictures"):
        open_source(tmp_path)


def test_a_row_that_contradicts_the_lists(tmp_path):
    layouts.folder(tmp_path, 2)
    rows = [{"file_name": "0.png", "text": "a", "split": "train"}, {"file_name": "1.png", "text": "b"}]
    layouts.write(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    layouts.write(tmp_path / "test.txt", "0\n")
    source = open_source(tmp_path)
    assert [(record.key, record.split) for record in source.records] == [("1", "train")] and "0.png: both" in said(source)


def zipped(root: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, top + str(path.relative_to(root)))
    return target


@pytest.mark.parametrize("top", ["", "cats/"])
def test_a_zipped_data_set(tmp_path, top):
    archive = zipped(layouts.folder(tmp_path / "data"), tmp_path / "cats.zip", top)
    result = CliRunner().invoke(app, ["data", "check", str(archive), "--workers", "1"])
    assert result.exit_code == 0 and "4: 4 to train on" in result.stdout and f"dmm data prepare {archive}" in result.stdout
    result = CliRunner().invoke(app, ["data", "prepare", str(archive), "--sizes", "16", "--workers", "1"])
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "cats-prepared" / "prepared.json").read_text())
    assert card["source"] == str(archive) and card["train"] == 4
    stamp = (tmp_path / "cats-prepared" / "16.npy").stat().st_mtime_ns
    again = CliRunner().invoke(app, ["data", "prepare", str(archive), "--sizes", "16", "--workers", "1"])
    assert again.exit_code == 0 and (tmp_path / "cats-prepared" / "16.npy").stat().st_mtime_ns == stamp, "nothing is decoded anew"


def archive_of(path: Path, *entries) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("a.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


ARCHIVES = {
    "a name that leaves it": ([("../a.png", b"x")], "leaves it"),
    "an absolute name": ([("/a.png", b"x")], "leaves it"),
    "a link": ([(link(), b"/etc/passwd")], "a link"),
    "a file that is a folder too": ([("a", b"x"), ("a/b.png", b"x")], "a file and a folder of one name"),
    "a folder that is a file too": ([("a/b.png", b"x"), ("a", b"x")], "a file and a folder of one name"),
    "far larger than its file": ([("a.png", bytes(1 << 28))], "are unpacked"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_that_reach_out(tmp_path, kind):
    entries, said = ARCHIVES[kind]
    path = archive_of(tmp_path / "a.zip", *entries)
    with pytest.raises(SourceError, match=f"a.zip.*{said}"), folder_of(path):
        raise AssertionError("it was unpacked")
    assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "a.zip")])
    assert result.exit_code == 2 and "expected a .zip archive" in result.output
