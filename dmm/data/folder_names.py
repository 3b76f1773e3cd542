"""What folders of one's own pictures are called: splits, and the endings of pictures."""

from __future__ import annotations

from pathlib import Path

SPLITS = {name: "train" for name in ("train", "training")} | {
    name: "test" for name in ("test", "testing", "val", "valid", "validation", "dev", "eval")
}
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
#: Columns and keys that are read as ``file_name`` and as ``text``, the first that is there.
COLUMNS = {
    "file_name": ("file_name", "filename", "image", "image_path", "image_file", "path", "file"),
    "text": ("text", "caption", "captions", "prompt", "description", "sentence"),
}


def folder_split(root: Path, picture: Path) -> str | None:
    """The split that the folder below ``root`` says, in which a picture lies; None if it says none."""
    return SPLITS.get(picture.relative_to(root).parts[0].lower()) if picture.parent != root else None
