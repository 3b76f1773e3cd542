"""The preprocessed folders of AttnGAN's code, which DM-GAN, MirrorGAN, DF-GAN and DMM-GAN read as well.

    birds/train/filenames.pickle, train/class_info.pickle, the same in test/, text/<class>/<image>.txt or captions.pickle,
          CUB_200_2011/images/ and CUB_200_2011/bounding_boxes.txt
    coco/ the same without classes and boxes: text/<image>.txt, images/<image>.jpg

Pickles are read as plain data (:mod:`dmm.data.pickles`), never run.
"""

from __future__ import annotations

from pathlib import Path

from dmm.data.cub import images_of, numbers_of, text_folder
from dmm.data.pickles import PickleError, read_classes, read_filenames
from dmm.data.sources import Problem, Source, SourceError, once
from dmm.data.transforms import Box
from dmm.data.vocab import read_captions_pickle
from dmm.files import FileError, below

#: Where the coco folders in circulation keep their pictures.
PICTURES = ("CUB_200_2011/images", "images", "images/train2014", "images/val2014", "train2014", "val2014", "train/images", "test/images")


def matches(root: Path) -> bool:
    """Whether a folder has the lists of file names."""
    return (root / "train" / "filenames.pickle").is_file()


def read(root: Path) -> Source:
    """AttnGAN's birds or coco folder.

    Raises:
        SourceError: no captions at all, or a list that cannot be read.
    """
    cub = root / "CUB_200_2011"
    source = Source("AttnGAN's birds" if cub.is_dir() else "AttnGAN's coco", root, own_classes=cub.is_dir(), numbered="class_info.pickle")
    try:
        names = {split: _names(root / split / "filenames.pickle", source) for split in ("train", "test")}
        classes = {split: _classes(root / split / "class_info.pickle", names[split], source) for split in names}
        captions = _captions(root, names, source)
    except PickleError as error:
        raise SourceError(str(error)) from error
    boxes = _boxes(cub, source) if cub.is_dir() else None
    folders = [folder for place in PICTURES if (folder := root / place).is_dir()]
    if not folders:
        raise SourceError(f"{root}: expected the pictures in {PICTURES[0]}/ or {PICTURES[1]}/, found neither")
    for split, some in names.items():
        for place, name in enumerate(some):
            try:
                below(folders[0], name, "name")
            except FileError as error:
                source.problems.append(Problem(f"{split}/filenames.pickle, {place}", str(error)))
                continue
            if boxes is not None and name not in boxes:
                source.problems.append(Problem("CUB_200_2011/bounding_boxes.txt", f"no line for {name}"))
                continue
            path = next((path for folder in folders if (path := folder / f"{name}.jpg").is_file()), folders[0] / f"{name}.jpg")
            box = boxes[name] if boxes is not None else None
            source.add(name, path, captions[split][place], classes[split][place], split, box, f"text/{name}.txt")
    return source


def _names(path: Path, source: Source) -> list[str]:
    if not path.is_file():
        source.problems.append(Problem(source.name(path), "the list is missing; this split is empty"))
        return []
    return read_filenames(path)


def _classes(path: Path, names: list[str], source: Source) -> list[int | None]:
    if not source.own_classes or not names:
        return [None] * len(names)
    if not path.is_file():
        raise SourceError(f"{path}: this file is missing; expected the class number of each of {len(names)} pictures")
    found = read_classes(path)
    if len(found) != len(names):
        raise SourceError(f"{path}: expected {len(names)} class numbers, one a name in filenames.pickle, found {len(found)}")
    return [*found]


def _captions(root: Path, names: dict[str, list[str]], source: Source) -> dict[str, list[list[str]]]:
    """Split -> the captions of each picture, as written where the text is there, else put together from captions.pickle."""
    texts = text_folder(root)
    if texts is not None:
        return {split: [source.sentences(texts / f"{name}.txt", lenient=True) for name in some] for split, some in names.items()}
    path = next((path for name in ("captions.pickle", "captions_DAMSM.pickle") if (path := root / name).is_file()), None)
    if path is None:
        raise SourceError(f"{root}: expected captions in text/ or captions.pickle, found neither")
    train, test, vocab = read_captions_pickle(path)
    source.notes.append(f"captions: put together from {path.name}, since there is no text/")
    found, counts = {}, dict[str, int]()
    for split, rows in (("train", train), ("test", test)):
        each, rest = divmod(len(rows), max(len(names[split]), 1))
        if rest or (names[split] and not each):
            raise SourceError(f"{path}: {len(rows)} {split} captions cannot be shared evenly by {len(names[split])} pictures")
        counts |= {split: each} if names[split] else {}
        if len(set(counts.values())) > 1:  # of a list that was cut short, each picture would get others' captions
            raise SourceError(f"{path}: expected as many captions for each picture, found {counts['train']} in train, {each} in test")
        texts_of = [" ".join(word for i in row for word in vocab.labels([i]) if word not in vocab.specials) for row in rows]
        found[split] = [texts_of[k * each : (k + 1) * each] for k in range(len(names[split]))]
    return found


def _boxes(cub: Path, source: Source) -> dict[str, Box]:
    """<class>/<image> -> its bounding box."""
    boxes = numbers_of(cub / "bounding_boxes.txt", "<image id> <x> <y> <width> <height>", 5, float)
    names = images_of(cub / "images.txt", source)
    pairs = [(str(Path(name).with_suffix("")), Box(*boxes[image])) for image, name in names.items() if image in boxes]
    return once(pairs, lambda name, found: source.problems.append(Problem("images.txt", f"{name}: {len(found)} different boxes; not used")))
