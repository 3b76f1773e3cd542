"""The limit of features against a closed form."""

import pytest
import torch

from dmm.losses.feature_limit import LIMIT, feature_limit_loss


def test_features_within_the_range_cost_nothing_and_learn_nothing():
    features = torch.tensor([-LIMIT, -1.0, 0.0, LIMIT]).view(1, 1, 2, 2).requires_grad_()
    loss = feature_limit_loss([features])
    loss.backward()
    assert loss == 0 and not features.grad.any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_excess_costs_its_square_over_all_places_and_stages(sign):
    features = torch.zeros(1, 2, 2, 2)
    features[0, 1, 0, 1] = sign * (LIMIT + 3)
    features.requires_grad_()
    loss = feature_limit_loss([features, torch.zeros(1, 2, 4, 4)])
    loss.backward()
    assert torch.isclose(loss, torch.tensor(9 / 8 / 2))
    assert features.grad.nonzero().tolist() == [[0, 1, 0, 1]] and torch.isclose(features.grad.sum(), torch.tensor(sign * 2 * 3 / 8 / 2))
