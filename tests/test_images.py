"""Pixels: known answers, 8-bit round trips, grids laid out where they should be, files whole or not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dmm import images


def test_known_pixels():
    floats = torch.tensor([-1.0, 0.0, 1.0, -3.0, 3.0])
    assert images.to_uint8(floats).tolist() == [0, 127, 255, 0, 255]
    assert images.to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_truncated_as_published():
    """(x + 1) * 127.5 just below a whole number stays below."""
    assert images.to_uint8(torch.tensor([(99.9 / 127.5) - 1])).tolist() == [99]


def test_every_pixel_value_comes_back_within_one_step():
    pixels = torch.arange(256, dtype=torch.uint8)
    back = images.to_uint8(images.to_float(pixels))
    assert (back.int() - pixels.int()).abs().max() <= 1


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50))
def test_a_float_comes_back_within_one_step(values):
    floats = torch.tensor(values)
    back = images.to_float(images.to_uint8(floats))
    assert (back - floats).abs().max() <= 1 / 127.5 + 1e-6


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=50))
def test_order_is_kept(values):
    pixels = images.to_uint8(torch.tensor(sorted(values))).int()
    assert (pixels.diff() >= 0).all()


def test_half_precision_reads_as_single():
    floats = torch.linspace(-1, 1, 33)
    assert torch.equal(images.to_uint8(floats.bfloat16()), images.to_uint8(floats.bfloat16().float()))


def test_channels_last_becomes_a_picture_the_right_way_up():
    image = torch.full((1, 3, 2, 3), -1.0)
    image[0, 0, 0, 2] = 1.0  # red, top right
    picture = images.to_pil(image)
    assert picture.size == (3, 2)
    assert picture.getpixel((2, 0)) == (255, 0, 0)
    assert picture.getpixel((0, 1)) == (0, 0, 0)


@given(count=st.integers(1, 7), columns=st.integers(1, 4), gap=st.integers(0, 5), height=st.integers(1, 6), width=st.integers(1, 6))
def test_a_grid_holds_each_picture_where_it_belongs(count, columns, gap, height, width):
    tiles = torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, height, width)
    sheet = np.asarray(images.grid(tiles, columns, gap=gap, background=200))
    rows = -(-count // columns)
    assert sheet.shape == (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    for i in range(count):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        assert (sheet[y : y + height, x : x + width] == i).all()
    assert (sheet == 200).sum() == sheet.size - count * height * width * 3


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "deep/er/a.png"])
def test_save_and_read_back(tmp_path, name):
    image = torch.rand(3, 5, 4) * 2 - 1
    images.save(image, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        back = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert torch.equal(back, images.to_uint8(image))
    assert [p.name for p in (tmp_path / name).parent.iterdir()] == [(tmp_path / name).name], "no partial file stays"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    images.write_atomic(path, b"old")
    monkeypatch.setattr(images.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        images.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
