"""Augmentation: nothing at strength 0, the same for the same seed, and a gradient to every picture."""

import pytest
import torch

from dmm.training.augment import augment


def test_strength_zero_is_the_identity():
    images = torch.randn(2, 3, 16, 16)
    assert augment(images, 0.0) is images


@pytest.mark.parametrize("size", [16, 64])
def test_same_seed_same_pictures_and_a_gradient(size):
    images = torch.randn(3, 3, size, size, requires_grad=True)
    first = augment(images, 1.0, torch.Generator().manual_seed(4))
    second = augment(images, 1.0, torch.Generator().manual_seed(4))
    assert torch.equal(first, second) and first.shape == images.shape
    assert not torch.equal(first, augment(images, 1.0, torch.Generator().manual_seed(5)))
    first.square().sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
