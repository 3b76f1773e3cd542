"""Every layout is found out and read; what is wrong is named file by file."""

import json
import shutil

import pytest
from PIL import Image

from dmm.data.sources import READERS, SourceError, check, open_source
from dmm.data.transforms import Box
from tests.data import layouts


def problems(source):
    return {where: what for where, what in source.problems}


def test_own_pictures(tmp_path):
    source = open_source(layouts.folder(tmp_path))
    assert source.format == "pictures with metadata.jsonl" and len(source) == 4 and not source.problems
    assert source.captions(1) == ["this bird has a white belly", "picture number 1"]
    assert {source.split(i) for i in range(4)} == {"train"} and len({source.class_id(i) for i in range(4)}) == 4
    image, box = source.picture(0)
    assert image.mode == "RGB" and image.size == (60, 40) and box is None
    assert source.words[:4] == ["a", "small", "red", "bird"]


def test_a_table_of_several_rows_a_picture(tmp_path):
    for name in ("a.png", "b.png"):
        layouts.picture(tmp_path / "train" / name)
    layouts.picture(tmp_path / "validation" / "c.png")
    layouts.write(tmp_path / "train" / "metadata.csv", '\ufefffile_name,text\na.png,"one, two"\nb.png,three\na.png,four\n')
    layouts.write(tmp_path / "validation" / "metadata.csv", "file_name;text\nc.png;five\n")
    source = open_source(tmp_path)
    assert [source.captions(i) for i in range(3)] == [["one, two", "four"], ["three"], ["five"]]
    assert [source.split(i) for i in range(3)] == ["train", "train", "test"] and not source.problems


def test_optional_columns_of_own_pictures(tmp_path):
    rows = [("a", "test", "cat", [1, 2, 30, 20]), ("b", None, "dog", None), ("c", "train", "cat", None)]
    for name, *_ in rows:
        layouts.picture(tmp_path / f"{name}.png")
    lines = [json.dumps({"file_name": f"{n}.png", "text": "x", "split": s, "label": v, "bbox": b}) for n, s, v, b in rows]
    layouts.write(tmp_path / "metadata.jsonl", "\n".join(lines))
    source = open_source(tmp_path)
    assert [source.split(i) for i in range(3)] == ["test", "train", "train"]
    assert source.class_id(0) == source.class_id(2) != source.class_id(1) and source.own_classes
    assert source.picture(0)[1] == Box(1, 2, 30, 20) and source.picture(1)[1] is None


BAD_ROWS = {
    "not json": "expected JSON",
    "[1]": "found a list",
    '{"text": "a bird"}': "file_name: expected the name of a file, found nothing",
    '{"file_name": "0.png", "text": 3}': "text: expected a string",
    '{"file_name": "0.png", "text": ["a", 3]}': "list of strings",
    '{"file_name": "../0.png", "text": "a"}': "below",
    '{"file_name": "0.png", "text": "a", "split": "maybe"}': "train or test",
    '{"file_name": "0.png", "text": "a", "bbox": [1, 2, 3]}': "x, y, width, height",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_named_and_the_others_stay(tmp_path, row):
    root = layouts.folder(tmp_path)
    with open(root / "metadata.jsonl", "a") as file:
        file.write(row + "\n")
    source = open_source(root)
    assert len(source) == 4 and BAD_ROWS[row] in problems(source)["metadata.jsonl:5"]


def test_missing_stray_and_wordless_pictures_of_ones_own(tmp_path):
    root = layouts.folder(tmp_path)
    (root / "0.png").unlink()
    layouts.picture(root / "stray.jpg")
    layouts.picture(root / "4.png")
    with open(root / "metadata.jsonl", "a") as file:
        file.write('{"file_name": "4.png", "text": "小さな鳥"}\n')
    found = problems(open_source(root))
    assert found["0.png"] == "the picture is missing" and "does not name" in found["stray.jpg"]
    assert "letters a to z" in found["metadata.jsonl:5"] and len(found) == 3


def test_tables_that_cannot_be_read_at_all(tmp_path):
    layouts.write(tmp_path / "metadata.csv", "name,caption\na,b\n")
    with pytest.raises(SourceError, match="columns file_name and text"):
        open_source(tmp_path)
    (tmp_path / "metadata.csv").write_bytes("file_name,text\na.png,caf\xe9\n".encode("latin1"))
    with pytest.raises(SourceError, match="UTF-8"):
        open_source(tmp_path)


def test_pictures_as_cameras_and_painters_save_them(tmp_path):
    tall = Image.new("RGB", (30, 20), "red")
    exif = tall.getexif()
    exif[0x0112] = 6  # turned by a quarter
    tall.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    layouts.write(tmp_path / "metadata.csv", "file_name,text\nturned.jpg,a\nclear.png,b\n")
    source = open_source(tmp_path)
    assert source.picture(0)[0].size == (20, 30) and source.picture(1)[0].getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("texts", ["text", "text_c10"])
def test_cub(tmp_path, texts):
    source = open_source(layouts.cub(tmp_path, texts))
    assert source.format == "CUB-200-2011" and len(source) == 4 and not source.problems and source.own_classes
    assert [source.split(i) for i in range(4)] == ["train", "train", "test", "test"]
    assert source.captions(0) == list(layouts.SENTENCES) and source.class_id(0) == source.class_id(1) != source.class_id(2)
    assert source.picture(3)[1] == Box(20, 10, 20, 16) and source.records[3].key == "002.Teal/d"


def test_cub_with_captions_beside_it_split_by_class(tmp_path):
    layouts.cub(tmp_path / "CUB_200_2011", "../text")
    layouts.write(tmp_path / "testclasses.txt", "001.Wren\n")
    source = open_source(tmp_path)
    assert [source.split(i) for i in range(4)] == ["test", "test", "train", "train"] and "testclasses" in source.notes[0]
    assert len(open_source(tmp_path / "CUB_200_2011")) == 4


def test_what_lacks_in_cub(tmp_path):
    root = layouts.cub(tmp_path)
    (root / "images" / "001.Wren" / "a.jpg").unlink()
    (root / "text" / "001.Wren" / "b.txt").unlink()
    layouts.write(root / "bounding_boxes.txt", "".join(f"{i} 20.0 10.0 20.0 16.0\n" for i in (1, 2, 3)))
    layouts.write(root / "train_test_split.txt", "1 1\n2 1\n3 1\n4 1\n")
    source = open_source(root)
    found = problems(source)
    assert found["images/001.Wren/a.jpg"] == "the picture is missing" and found["text/001.Wren/b.txt"] == "no caption"
    assert "picture 4 (002.Teal/d.jpg)" in found["bounding_boxes.txt"] and len(source) == 1
    layouts.write(root / "bounding_boxes.txt", "1 2 x\n")
    with pytest.raises(SourceError, match="bounding_boxes.txt:1"):
        open_source(root)
    shutil.rmtree(root / "text")
    with pytest.raises(SourceError, match="without captions"):
        open_source(root)


BAD_LISTS = {
    "images.txt": ("1 001.Wren/a.jpg\nx b.jpg\n", "images.txt:2: expected <image id> <path>, found 'x b.jpg'"),
    "bounding_boxes.txt": ("1 1.0 2.0 10.0\n", "bounding_boxes.txt:1: expected <image id> <x> <y> <width> <height>"),
    "image_class_labels.txt": ("1 1\n1 2\n", "image_class_labels.txt:2: id 1 stands here a second time"),
    "train_test_split.txt": ("1 yes\n2 0\n", "train_test_split.txt:1"),
}


@pytest.mark.parametrize("file", BAD_LISTS)
def test_a_bad_list_of_cub_is_named_with_its_line(tmp_path, file):
    text, message = BAD_LISTS[file]
    layouts.write(layouts.cub(tmp_path) / file, text)
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path)


def test_a_missing_list_of_cub_is_named(tmp_path):
    (layouts.cub(tmp_path) / "bounding_boxes.txt").unlink()
    with pytest.raises(SourceError, match="bounding_boxes.txt: this file is missing; expected lines of <image id> <x>"):
        open_source(tmp_path)


def test_preprocessed_birds(tmp_path):
    root = layouts.birds(tmp_path)
    source = open_source(root)
    assert source.format == "AttnGAN's birds" and not source.problems
    assert [source.records[i].key for i in range(4)] == list(layouts.NAMES)
    assert [source.class_id(i) for i in range(4)] == [1, 1, 2, 2] and source.picture(0)[1] == Box(20, 10, 20, 16)
    assert [source.split(i) for i in range(4)] == ["train", "train", "test", "test"] and len(source.captions(2)) == 2


def test_captions_from_the_pickle_where_there_is_no_text(tmp_path):
    root = layouts.birds(tmp_path)
    shutil.rmtree(root / "text")
    with pytest.raises(SourceError, match="captions.pickle"):
        open_source(root)
    layouts.captions_pickle(root)
    source = open_source(root)
    assert source.captions(0) == ["red bird", "blue bird"] and source.captions(3) == ["bird", "red blue bird"]


def test_pickles_are_never_run(tmp_path):
    root = layouts.birds(tmp_path)
    (root / "train" / "filenames.pickle").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(SourceError, match="refused to load os.system"):
        open_source(root)


def test_preprocessed_coco(tmp_path):
    source = open_source(layouts.coco_pickles(tmp_path))
    assert source.format == "AttnGAN's coco" and len(source) == 3 and not source.problems and not source.own_classes
    assert source.split(2) == "test" and len({source.class_id(i) for i in range(3)}) == 3 and source.picture(0)[1] is None


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_coco(tmp_path, year):
    source = open_source(layouts.coco(tmp_path, year))
    assert source.format == f"COCO {year}" and [source.split(i) for i in range(4)] == ["train"] * 3 + ["test"] and not source.problems
    assert source.captions(3) == ["A dog number 0.", "A dog number 1."]


def test_coco_without_its_validation_pictures(tmp_path):
    root = layouts.coco(tmp_path)
    shutil.rmtree(root / "val2017")
    source = open_source(root)
    assert len(source) == 3 and problems(source) == {"val2017": "missing; the test split is empty"}
    layouts.write(root / "annotations" / "captions_train2017.json", '{"images": []}')
    with pytest.raises(SourceError, match="'annotations'"):
        open_source(root)


def test_nothing_found_says_what_was_looked_for(tmp_path):
    layouts.folder(tmp_path / "cats")
    with pytest.raises(SourceError) as error:
        open_source(tmp_path)
    assert all(name in str(error.value) for name in READERS) and f"{tmp_path / 'cats'} has one" in str(error.value)
    with pytest.raises(SourceError, match="found nothing"):
        open_source(tmp_path / "dogs")
    with pytest.raises(SourceError, match="unknown layout"):
        open_source(tmp_path, "imagenet")


def test_check_counts_and_finds_broken_pictures(tmp_path):
    root = layouts.cub(tmp_path)
    whole = (root / "images" / "001.Wren" / "b.jpg").read_bytes()
    (root / "images" / "001.Wren" / "b.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "images" / "002.Teal" / "c.jpg").write_text("no picture")
    quick, found = check(open_source(root), decode=False), check(open_source(root))
    assert quick["pictures"] == 4 and quick["problems"] == []
    assert (found["pictures"], found["train"], found["test"], found["captions"]) == (2, 1, 1, 6)
    assert [problem["where"] for problem in found["problems"]] == ["images/001.Wren/b.jpg", "images/002.Teal/c.jpg"]
    assert found["vocabulary"] == 12 and found["words_a_caption"] == [4, 5.3, 6] and found["boxes"] == 2


def test_check_with_workers_says_the_same(tmp_path):
    source = open_source(layouts.folder(tmp_path, 70))
    (tmp_path / "33.png").write_bytes(b"")
    assert check(source, workers=2) == check(source, workers=1)
