"""The reconstruction loss against closed forms."""

import torch

from dmm.losses.reconstruction import reconstruction_loss


def test_a_flat_difference_has_no_edges():
    target = torch.zeros(2, 3, 4, 4)
    assert torch.isclose(reconstruction_loss(target + 0.25, target, torch.ones(2, 1, 4, 4)), torch.tensor(0.25))


def test_an_edge_counts_once_a_direction():
    image = torch.zeros(1, 3, 2, 2)
    image[..., 1] = 1.0  # pixels: half of them are off by 1; steps: 2 of 4 places across, none down
    loss = reconstruction_loss(image, torch.zeros_like(image), torch.ones(1, 1, 2, 2), edges=1.0)
    assert torch.isclose(loss, torch.tensor(0.5 + 2 / 4))


def test_weights_choose_samples_and_pixels():
    image = torch.stack([torch.full((3, 2, 2), 1.0), torch.full((3, 2, 2), 3.0)])
    weight = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert torch.isclose(reconstruction_loss(image, torch.zeros_like(image), weight), torch.tensor(1.0))
    assert reconstruction_loss(image, torch.zeros_like(image), torch.zeros(2, 1, 2, 2)) == 0
