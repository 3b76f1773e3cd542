"""What folders of one's own pictures are called: splits, and the endings of pictures."""

from __future__ import annotations

SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "test", "valid": "test", "validation": "test"}
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
#: Columns and keys that are read as ``file_name`` and as ``text``, the first that is there.
COLUMNS = {
    "file_name": ("file_name", "filename", "image", "image_path", "image_file", "path", "file"),
    "text": ("text", "caption", "captions", "prompt", "description", "sentence"),
}
