"""Freed memory is kept where models are measured on a CPU; on a GPU there is nothing to gain from it."""

from types import SimpleNamespace

import pytest
import torch

from dmm.cli import evaluate
from dmm.training import allocator


@pytest.mark.parametrize(("device", "kept"), [("cpu", [True]), ("cuda", [])])
def test_freed_memory_is_kept_on_a_cpu(monkeypatch, device, kept):
    asked = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: asked.append(True))
    monkeypatch.setattr("dmm.cli.evaluate.load_plain", lambda model, device: SimpleNamespace(device=torch.device(device)))
    assert evaluate._load("model", device).device.type == device and asked == kept
