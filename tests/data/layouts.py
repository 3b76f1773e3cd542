"""Small data sets in every layout, written by hand; pictures are ramps, so that a crop tells where it is from."""

import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

SENTENCES = ("a small red bird", "this bird has a white belly", "a bird with long blue wings")


def picture(path: Path, width: int = 60, height: int = 40, seed: int = 0) -> Path:
    """A smooth picture in the file's own format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 20 * seed)], -1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write(path: Path, text: str) -> None:
    """A text file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def folder(root: Path, count: int = 4) -> Path:
    """Pictures with metadata.jsonl, two captions each."""
    for k in range(count):
        picture(root / f"{k}.png", seed=k)
    rows = [{"file_name": f"{k}.png", "text": [SENTENCES[k % 3], f"picture number {k}"]} for k in range(count)]
    write(root / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return root


NAMES = ("001.Wren/a", "001.Wren/b", "002.Teal/c", "002.Teal/d")


def cub(root: Path, texts: str = "text") -> Path:
    """CUB-200-2011: four pictures of two classes, the last two for testing by train_test_split.txt."""
    for k, name in enumerate(NAMES):
        picture(root / "images" / f"{name}.jpg", seed=k)
        write(root / texts / f"{name}.txt", "\n".join(SENTENCES) + "\n")
    numbered = list(enumerate(NAMES, 1))
    write(root / "images.txt", "".join(f"{i} {name}.jpg\n" for i, name in numbered))
    write(root / "image_class_labels.txt", "".join(f"{i} {int(name[:3])}\n" for i, name in numbered))
    write(root / "bounding_boxes.txt", "".join(f"{i} 20.0 10.0 20.0 16.0\n" for i, _ in numbered))
    write(root / "train_test_split.txt", "1 1\n2 1\n3 0\n4 0\n")
    return root


def pickled(path: Path, value) -> None:
    """A pickle as Python 2 wrote them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def birds(root: Path) -> Path:
    """AttnGAN's birds folder."""
    cub(root / "CUB_200_2011", "unused")
    for split, names in (("train", NAMES[:2]), ("test", NAMES[2:])):
        pickled(root / split / "filenames.pickle", list(names))
        pickled(root / split / "class_info.pickle", [int(name[:3]) for name in names])
        for name in names:
            write(root / "text" / f"{name}.txt", "\n".join(SENTENCES[:2]) + "\n")
    return root


def captions_pickle(root: Path) -> None:
    """Two captions for each of two and two pictures, without text/."""
    words = ["<end>", "red", "blue", "bird"]
    rows = [[1, 3], [2, 3], [3], [1, 2, 3]]
    pickled(root / "captions.pickle", [rows, rows, dict(enumerate(words)), {word: i for i, word in enumerate(words)}])


def coco_pickles(root: Path) -> Path:
    """AttnGAN's coco folder."""
    for split, names in (("train", ("COCO_1", "COCO_2")), ("test", ("COCO_3",))):
        pickled(root / split / "filenames.pickle", list(names))
        for name in names:
            picture(root / "images" / f"{name}.jpg")
            write(root / "text" / f"{name}.txt", "a man rides a horse\na horse\n")
    return root


def coco(root: Path, year: str = "2017") -> Path:
    """COCO with three training pictures and one of validation."""
    for part, ids in (("train", (7, 8, 9)), ("val", (5,))):
        images = [{"id": i, "file_name": f"{i:012d}.jpg"} for i in ids]
        rows = [{"id": 10 * i + k, "image_id": i, "caption": f"A dog number {k}."} for i in ids for k in range(2)]
        write(root / "annotations" / f"captions_{part}{year}.json", json.dumps({"images": images, "annotations": rows}))
        for i in ids:
            picture(root / f"{part}{year}" / f"{i:012d}.jpg", seed=i)
    return root
