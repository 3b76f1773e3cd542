"""Data that would be read wrongly without a word: each kind is either read rightly or named, and what is left out is said."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dmm.data.prepared import Prepared, PrepareError, prepare
from dmm.data.sources import SourceError, check, open_source
from dmm.data.transforms import Job, decode, open_picture
from tests.data import layouts

RAMP = np.linspace(0, 1, 64)[None].repeat(64, 0)  # H W
DEEP = {
    "grey16.png": (RAMP * 65535).astype(np.uint16),
    "grey16.tif": (RAMP * 65535).astype(np.uint16),
    "grey12.png": (RAMP * 4095).astype(np.uint16),
    "int32.tif": (RAMP * 65535).astype(np.int32),
    "float01.tif": RAMP.astype(np.float32),
    "float255.tif": (RAMP * 255).astype(np.float32),
    "8 of 16.png": (RAMP * 255).astype(np.uint16),
    "8 of 32.tif": (RAMP * 255).astype(np.int32),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_grey_keeps_its_shades(tmp_path, name):
    Image.fromarray(DEEP[name]).save(tmp_path / name)
    found = np.asarray(open_picture(tmp_path / name))
    assert found.shape == (64, 64, 3) and np.abs(found[..., 1] - RAMP * 255).max() <= 1


@pytest.mark.parametrize("name", ["grey16.tif", "float01.tif"])
def test_grey_whose_zero_is_white_is_turned_round(tmp_path, name):
    Image.fromarray(DEEP[name]).save(tmp_path / name, tiffinfo={262: 0})
    found = np.asarray(open_picture(tmp_path / name))
    assert np.abs(found[..., 1] - (1 - RAMP) * 255).max() <= 1


def test_a_picture_of_another_kind_starts_no_program(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n")
    assert "cannot identify" in decode(Job(0, str(tmp_path / "a.png"), None, False), (16,))


@pytest.mark.parametrize("values", [RAMP - 0.5, RAMP * 1e6, RAMP * 1.01, np.where(RAMP > 0.5, np.nan, RAMP)])
def test_numbers_that_mean_no_brightness_are_named(tmp_path, values):
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    assert "what is white is not known" in decode(Job(0, str(tmp_path / "a.tif"), None, False), (16,))


def test_deep_grey_is_turned_as_the_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(DEEP["grey16.png"][:32]).save(tmp_path / "a.png", exif=exif)
    assert open_picture(tmp_path / "a.png", upright=True).size == (32, 64)


def test_a_picture_far_larger_than_its_file_is_named(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "a.png")
    assert "px a byte" in decode(Job(0, str(tmp_path / "a.png"), None, False), (16,))


@pytest.mark.parametrize("box", [(100, 10, 20, 20), (0, -50, 20, 20), (30, 30, 500, 500)])
def test_a_box_that_misses_its_picture_is_named(tmp_path, box):
    layouts.folder(tmp_path, 2)
    rows = [{"file_name": "0.png", "text": "a bird", "bbox": box}, {"file_name": "1.png", "text": "a bird", "bbox": [5, 5, 40, 30]}]
    layouts.write(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    found = check(open_source(tmp_path))
    assert found["pictures"] == 1 and "misses the picture" in found["problems"][0]["what"]


GOOD = '{"file_name": "1.png", "text": "a"}'
KEPT = {"1": ["a"]}


def rows(*further):
    """Rows of picture 0, each a caption and further fields, and a good row of picture 1."""
    return "\n".join([*(json.dumps({"file_name": "0.png", "text": f"caption {k}"} | row) for k, row in enumerate(further)), GOOD])


# kind of table -> (ending, text, captions by picture, what the problems say)
TABLES = {
    "unquoted comma": ("csv", "file_name,text\n0.png,a red bird, with a bill\n1.png,a\n", KEPT, "found 3; a caption with a comma"),
    "short row": ("csv", "file_name,text,split\n0.png,red\n1.png,a,\n", KEPT, "expected 3 cells"),
    "open quote": ("csv", 'file_name,text\n0.png,"a red bird\n1.png,a\n', KEPT, "a quote that does not close"),
    "late quote": ("csv", 'file_name,text\n0.png,"a red bird\n1.png,a"\n', {"1": ['a"']}, "closes only after the next row"),
    "text after a quote": ("csv", 'file_name,text\n0.png,"a red" bird\n1.png,a\n', KEPT, "cannot be read"),
    "line break in quotes": ("csv", 'file_name,text\n0.png,"a red\nbird"\n1.png,a\n', {"0": ["a red bird"]} | KEPT, None),
    "huge cell": ("csv", f"file_name,text\n0.png,{'a ' * 99_999}\n1.png,a\n", KEPT, "cannot be read"),
    "doubled key": ("jsonl", '{"file_name": "0.png", "text": "red", "text": "blue"}\n' + GOOD, KEPT, "twice"),
    "half an emoji": ("jsonl", rows({"text": ["a \ud83d", "b"]}), {"0": ["b"]} | KEPT, "UTF-8"),
    "half an emoji in a name": ("jsonl", rows({"file_name": "\ud83d.png"}), KEPT, "no file can have"),
    "two splits": ("jsonl", rows({"split": "test"}, {"split": "train"}), KEPT, "split: 'train' contradicts 'test'"),
    "two labels": ("jsonl", rows({"label": 0}, {"label": 1}), KEPT, "label: '1' contradicts '0'"),
    "two boxes": ("jsonl", rows({"bbox": [1, 1, 9, 9]}, {"bbox": [2, 1, 9, 9]}), KEPT, "box: Box"),
    "false split": ("jsonl", rows({"split": False}), KEPT, "found False"),
    "zero box": ("jsonl", rows({"bbox": 0}), KEPT, "bbox"),
    "endless box": ("jsonl", rows({"bbox": "inf 1 9 9"}), KEPT, "bbox"),
    "nested text": ("jsonl", '{"file_name": "0.png", "text": ' + "[" * 50_000 + "}\n" + GOOD, KEPT, "too deep"),
    "long name": ("jsonl", rows({"file_name": "a" * 5000}), KEPT, "255 bytes"),
    "no name": ("jsonl", rows({"file_name": "."}), KEPT, "the name of a file"),
    "zero byte": ("jsonl", rows({"file_name": "a\0.png"}), KEPT, "no file can have"),
    "control characters": ("jsonl", rows({"file_name": "\x1b[31m\u202e.png"}), KEPT, "missing"),
    "a list in a cell": ("csv", "file_name,text\n0.png,\"['red', 'blue']\"\n1.png,a\n", KEPT, "a list written as text"),
    "a list as text": ("jsonl", rows({"text": '["red", "blue"]'}), KEPT, "a list written as text"),
    "not a number": ("csv", "file_name,text\n0.png,NaN\n1.png,a\n", KEPT, "found 'NaN'"),
    "None": ("csv", "file_name,text\n0.png, None \n1.png,a\n", KEPT, "found ' None '"),
    "blank cells": ("csv", "file_name,text,split,label,bbox\n0.png,red, , , \n1.png,a,,,\n", {"0": ["red"]} | KEPT, None),
    "a line of a caption": ("jsonl", rows({"text": "red\x0cand\u2028blue"}), {"0": ["red and blue"]} | KEPT, None),
    "huge caption": ("jsonl", rows({"text": "ab" * 6000}), KEPT, "12,000 characters"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_say_more_or_less_than_is_read(tmp_path, kind):
    ending, text, kept, said = TABLES[kind]
    layouts.folder(tmp_path, 2)
    (tmp_path / "metadata.jsonl").unlink()
    layouts.write(tmp_path / f"metadata.{ending}", text)
    source = open_source(tmp_path)
    assert {record.key: list(record.captions) for record in source.records} == kept
    found = [f"{where}: {what}" for where, what in source.problems if "does not name" not in what]
    assert any(said in line for line in found) if said else not found


def test_the_same_column_twice_is_refused(tmp_path):
    layouts.folder(tmp_path, 1)
    (tmp_path / "metadata.jsonl").unlink()
    layouts.write(tmp_path / "metadata.csv", "file_name,text, text\n0.png,red,blue\n")
    with pytest.raises(SourceError, match="column 'text' stands twice"):
        open_source(tmp_path)


def test_labels_that_are_present_but_false_are_labels(tmp_path):
    layouts.folder(tmp_path, 3)
    layouts.write(tmp_path / "metadata.jsonl", "".join(f'{{"file_name": "{k}.png", "text": "a", "label": {k // 2}}}\n' for k in range(3)))
    source = open_source(tmp_path)
    assert [source.class_id(k) for k in range(3)] == [0, 0, 1]


def test_a_folder_that_says_its_split_is_not_contradicted(tmp_path):
    layouts.picture(tmp_path / "train" / "a.png")
    layouts.picture(tmp_path / "train" / "b.png")
    rows = '{"file_name": "a.png", "text": "a", "split": "test"}\n{"file_name": "b.png", "text": "b"}\n'
    layouts.write(tmp_path / "train" / "metadata.jsonl", rows)
    source = open_source(tmp_path)
    assert len(source) == 1 and "contradicts the folder" in source.problems[0].what


def test_pictures_in_a_folder_of_a_split_are_of_it(tmp_path):
    for name in ("train/a", "test/b", "eval/c", "test/d"):
        layouts.picture(tmp_path / f"{name}.png")
    rows = [{"file_name": f"{name}.png", "text": "a"} for name in ("train/a", "test/b", "eval/c")]
    rows.append({"file_name": "test/d.png", "text": "a", "split": "train"})
    layouts.write(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    source = open_source(tmp_path)
    assert [source.split(k) for k in range(4)] == ["train", "test", "test", "train"] and not source.problems


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-32-be", "latin1"]
MARKED = ENCODINGS[:4]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("layout", ["beside", "folder", "csv", "cub"])
def test_captions_in_every_encoding_are_read_or_named(tmp_path, layout, encoding):
    """Latin 1 of the published layouts is read with a note, since their codes did."""
    if layout == "cub":
        file = layouts.cub(tmp_path) / "text/001.Wren/a.txt"
    else:
        layouts.picture(tmp_path / "a.png")
        layouts.picture(tmp_path / "b.png")
        layouts.write(tmp_path / "b.txt", "a blue bird") if layout == "beside" else None
        file = tmp_path / {"beside": "a.txt", "folder": "metadata.jsonl", "csv": "metadata.csv"}[layout]
    text = "a r\u00e9d bird"
    if layout == "folder":
        text = json.dumps({"file_name": "a.png", "text": text}, ensure_ascii=False) + '\n{"file_name": "b.png", "text": "x"}\n'
    elif layout == "csv":
        text = f"file_name,text\na.png,{text}\nb.png,x\n"
    file.write_bytes(text.encode(encoding))
    try:
        source = open_source(tmp_path)
    except SourceError as error:
        assert layout in ("csv", "folder") and encoding not in MARKED and "UTF-8" in str(error)
        return
    captions = {record.path.stem: record.captions for record in source.records}
    if encoding in MARKED:
        assert captions["a"] == ("a r\u00e9d bird",) and not source.problems and not source.notes[1:]
    elif (layout, encoding) == ("cub", "latin1"):
        assert captions["a"] == ("a r\ufffdd bird",) and "no UTF-8, read as blanks: 1 files" in source.notes[-1]
    else:
        assert "a" not in captions and any(file.name in where and "UTF-8" in what for where, what in source.problems)


PLACEHOLDERS = {
    "a web page": (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 20\n", "git lfs pull"),
    "JSON": (b'{"caption": "a red bird"}', "JSON text"),
}


@pytest.mark.parametrize("kind", PLACEHOLDERS)
def test_what_was_saved_in_place_of_captions_is_named(tmp_path, kind):
    content, said = PLACEHOLDERS[kind]
    root = layouts.cub(tmp_path)
    (root / "text/001.Wren/a.txt").write_bytes(content)
    source = open_source(root)
    assert [record.path.stem for record in source.records] == ["b", "c", "d"]
    assert any(where == "text/001.Wren/a.txt" and said in what for where, what in source.problems)


def test_what_could_be_prepared_but_not_read_is_named(tmp_path):
    """Names of files that are no UTF-8, captions that fill more than a line of the list, and a folder of such a name."""
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    layouts.picture(root / os.fsdecode(b"b\xff.png"))
    layouts.write(root / os.fsdecode(b"b\xff.txt"), "a red bird")
    for name in "ac":
        layouts.picture(root / f"{name}.png")
        layouts.write(root / f"{name}.txt", "a blue bird")
    layouts.write(root / "c.txt", f"{'a bird ' * 1000}\n" * 50)
    source = open_source(root)
    assert [record.key for record in source.records] == ["a"]
    assert {what[:20] for _, what in source.problems} == {"a name that is no UT", "captions of more tha"}
    prepare(source, sizes=(16,), progress=False)
    assert len(Prepared(root)) == 1


@pytest.mark.parametrize("sizes", [(), (8,), (4112,), (16 * 10**8,), tuple(range(16, 16 * 19, 16))])
def test_sizes_that_could_not_be_read_are_not_prepared(tmp_path, sizes):
    with pytest.raises(PrepareError, match="expected 1 to 16 sizes of at most 4096"):
        prepare(open_source(layouts.folder(tmp_path)), sizes=sizes)


def test_a_leading_blank_of_a_name_is_kept(tmp_path):
    layouts.picture(tmp_path / " a.png")
    layouts.write(tmp_path / "metadata.jsonl", '{"file_name": " a.png", "text": "a"}')
    assert [record.path.name for record in open_source(tmp_path).records] == [" a.png"]


def test_names_that_differ_in_their_ending_only_have_their_own_keys(tmp_path):
    layouts.picture(tmp_path / "a.png")
    layouts.picture(tmp_path / "a.jpg")
    layouts.write(tmp_path / "metadata.csv", "file_name,text\na.png,one\na.jpg,two\n")
    assert {record.key for record in open_source(tmp_path).records} == {"a.png", "a.jpg"}


def coco(root, change):
    layouts.coco(root)
    path = root / "annotations" / "captions_train2017.json"
    content = json.loads(path.read_text())
    change(content["images"], content["annotations"])
    path.write_text(json.dumps(content))
    return open_source(root)


def name(k):
    return f"{k:012d}.jpg"


def twice(images, rows):
    images.append({"id": 11, "file_name": name(8)})
    rows.append({"image_id": 11, "caption": "x"})


COCO = {  # what is done to the lists -> (training pictures that stay, what is said)
    "an id twice": (lambda images, rows: images.append({"id": 7, "file_name": name(8)}), [8, 9], "2 pictures"),
    "a name twice": (lambda images, rows: images.append({"id": 11, "file_name": name(8)}), [7, 8, 9], "no caption"),
    "a name twice, with captions": (twice, [7, 9], "2 times"),
    "the same row twice": (lambda images, rows: images.append(dict(images[0])), [7, 8, 9], None),
    "a name that leaves the folder": (lambda images, rows: images[0].update(file_name="../val2017/" + name(5)), [8, 9], "leaves it"),
    "an absolute name": (lambda images, rows: images[0].update(file_name="/etc/passwd"), [8, 9], "leaves it"),
    "a null caption": (lambda images, rows: rows[0].update(caption=None), [7, 8, 9], "found None"),
    "a row that is none": (lambda images, rows: rows.append(None), [7, 8, 9], "found None"),
    "a long name": (lambda images, rows: images[0].update(file_name="a" * 300), [8, 9], "255 bytes"),
    "half a character": (lambda images, rows: rows[0].update(caption="a \ud83d"), [7, 8, 9], "UTF-8"),
    "ids of two kinds": (lambda images, rows: rows[0].update(id="x"), [7, 8, 9], None),
    "an id that is no id": (lambda images, rows: images[0].update(id=[7]), [8, 9], "found a list"),
}


@pytest.mark.parametrize("kind", COCO)
def test_rows_of_coco(tmp_path, kind):
    change, kept, said = COCO[kind]
    source = coco(tmp_path, change)
    assert [record.path.name for record in source.of("train")] == [name(k) for k in kept]
    assert all(text.startswith("A dog number") for record in source.records for text in record.captions)
    found = [f"{where}: {what}" for where, what in source.problems]
    assert any(said in line for line in found) if said else not found


def test_a_key_of_coco_that_stands_twice(tmp_path):
    layouts.coco(tmp_path)
    layouts.write(tmp_path / "annotations" / "captions_train2017.json", '{"images": [], "images": [], "annotations": []}')
    with pytest.raises(SourceError, match="'images' stands twice"):
        open_source(tmp_path)


LINES = ("1 001.Wren/a.jpg", "2 001.Wren/b.jpg", "3 002.Teal/c.jpg", "4 002.Teal/d.jpg")
CUB = {  # file, its text -> (pictures that stay, what is said)
    "an id twice": ("images.txt", [*LINES[:3], "1 002.Teal/d.jpg"], ["b", "c"], "2 pictures"),
    "a name twice": ("images.txt", [*LINES[:2], "3 001.Wren/b.jpg", LINES[3]], ["a", "d"], "2 times (train and test)"),
    "a name that leaves the folder": ("images.txt", [LINES[0], "2 ../images/001.Wren/b.jpg"], ["a"], "leaves it"),
    "a class beyond all bounds": ("image_class_labels.txt", ["1 1", "2 1", f"3 {'9' * 30}", "4 2"], ["a", "b", "d"], "far too large"),
    "a box of nothing": ("bounding_boxes.txt", ["1 20 10 0 16", *(f"{k} 20 10 20 16" for k in (2, 3, 4))], ["b", "c", "d"], "bounding box"),
    "a folder of two classes": ("image_class_labels.txt", ["1 1", "2 1", "3 1", "4 2"], ["a", "b"], "class 1 of 002.Teal/c contradicts"),
    "a class of two folders": ("image_class_labels.txt", ["1 1", "2 1", "3 1", "4 1"], [], "class 1 of 001.Wren/a contradicts"),
    "captions in UTF-16 without a mark": ("text/001.Wren/a.txt", ["a\0 \0b\0"], ["b", "c", "d"], "zero byte"),
}


@pytest.mark.parametrize("kind", CUB)
def test_lists_of_cub(tmp_path, kind):
    file, lines, kept, said = CUB[kind]
    root = layouts.cub(tmp_path)
    layouts.write(root / file, "\n".join(lines))
    if not kept:
        with pytest.raises(SourceError, match=said):
            open_source(root)
        return
    source = open_source(root)
    assert [record.path.stem for record in source.records] == kept
    assert any(said in f"{where}: {what}" for where, what in source.problems)


def test_a_class_that_contradicts_its_folder_costs_that_picture_only(tmp_path):
    root = layouts.cub(tmp_path)
    layouts.picture(root / "images/002.Teal/e.jpg")
    layouts.write(root / "text/002.Teal/e.txt", "a bird")
    for file, line in (("images.txt", "5 002.Teal/e.jpg"), ("bounding_boxes.txt", "5 20 10 20 16"), ("train_test_split.txt", "5 0")):
        layouts.write(root / file, (root / file).read_text() + line + "\n")
    layouts.write(root / "image_class_labels.txt", "1 1\n2 1\n3 2\n4 3\n5 2\n")
    source = open_source(root)
    assert [record.path.stem for record in source.records] == ["a", "b", "c", "e"]
    assert [what for _, what in source.problems] == ["class 3 of 002.Teal/d contradicts the others of its folder or class; it is not used"]


@pytest.mark.parametrize("text", ["002.Teal\n", "2\n", "\ufeff002.Teal\r\n", "002\r\n", "2 002.Teal\n"])
def test_test_classes_by_name_or_number(tmp_path, text):
    root = layouts.cub(tmp_path)
    layouts.write(root / "testclasses.txt", text)
    source = open_source(root)
    assert [source.split(k) for k in range(4)] == ["train", "train", "test", "test"] and not source.problems


def test_test_classes_that_are_not_there(tmp_path):
    root = layouts.cub(tmp_path)
    layouts.write(root / "testclasses.txt", "002.Teal\n077.Dodo\n")
    assert "no class '077.Dodo'" in open_source(root).problems[0].what
    layouts.write(root / "testclasses.txt", "077.Dodo\n")
    with pytest.raises(SourceError, match="found none of them"):
        open_source(root)


@pytest.mark.parametrize("value", ["2", "-1"])
def test_a_split_that_is_neither(tmp_path, value):
    root = layouts.cub(tmp_path)
    layouts.write(root / "train_test_split.txt", f"1 1\n2 {value}\n3 0\n4 0\n")
    with pytest.raises(SourceError, match="train_test_split.txt.*expected 1"):
        open_source(root)


@pytest.mark.parametrize("file", ["images.txt", "bounding_boxes.txt", "image_class_labels.txt", "testclasses.txt"])
def test_lists_that_are_no_utf8_are_named(tmp_path, file):
    root = layouts.cub(tmp_path)
    (root / file).write_bytes("1 caf\xe9\n".encode("latin1"))
    with pytest.raises(SourceError, match=rf"{file}: expected text in UTF-8"):
        open_source(root)


def test_captions_in_utf16_are_read(tmp_path):
    root = layouts.cub(tmp_path)
    (root / "text" / "001.Wren" / "a.txt").write_bytes("a red bird\na blue bird\n".encode("utf-16"))
    assert open_source(root).captions(0) == ["a red bird", "a blue bird"]


BIRDS = {  # what becomes of a list -> (names that stay, what is said)
    "a name twice": ("train", ["001.Wren/a", "001.Wren/a"], ["c", "d"], None),
    "a name in both splits": ("train", ["001.Wren/a", "002.Teal/c"], ["a", "d"], "2 times (train and test)"),
    "a name that leaves the folder": ("train", ["001.Wren/a", "../../etc/x"], ["a", "c", "d"], "leaves it"),
}


@pytest.mark.parametrize("kind", BIRDS)
def test_lists_of_attngan(tmp_path, kind):
    split, names, kept, said = BIRDS[kind]
    root = layouts.birds(tmp_path)
    layouts.pickled(root / split / "filenames.pickle", names)
    if said is None:
        with pytest.raises(SourceError, match=r"2 times \(train\)"):
            open_source(root)
        return
    source = open_source(root)
    assert [record.path.stem for record in source.records] == kept
    assert any(said in what for _, what in source.problems)


def test_an_id_of_attngans_boxes_that_stands_twice(tmp_path):
    root = layouts.birds(tmp_path)
    with open(root / "CUB_200_2011" / "images.txt", "a") as file:
        file.write("1 002.Teal/c.jpg\n")
    source = open_source(root)
    assert "001.Wren/a" not in {record.key for record in source.records}
    assert any("2 pictures" in what for _, what in source.problems)


@pytest.mark.parametrize(
    ("file", "line"),
    [("bounding_boxes.txt", "1 20 10 20 16 9"), ("bounding_boxes.txt", "1 2_0 10 20 16"), ("image_class_labels.txt", "1 1 2")],
)
def test_lists_with_more_than_is_read_are_named(tmp_path, file, line):
    root = layouts.cub(tmp_path)
    layouts.write(root / file, line)
    with pytest.raises(SourceError, match=rf"{file}:1: expected <image id>.*found '{line}'"):
        open_source(root)


def test_captions_of_a_list_that_was_cut_short(tmp_path):
    """Two names share out what was four pictures' captions; the other split tells."""
    root = layouts.birds(tmp_path)
    shutil.rmtree(root / "text")
    layouts.captions_pickle(root)
    layouts.pickled(root / "train/filenames.pickle", ["001.Wren/a"])
    layouts.pickled(root / "train/class_info.pickle", [1])
    with pytest.raises(SourceError, match="as many captions for each picture, found 4 in train, 2 in test"):
        open_source(root)
