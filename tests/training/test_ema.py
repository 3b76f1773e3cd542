"""The EMA is the closed form, and its batch norms get statistics of their own."""

import torch
from torch import nn

from dmm.training.ema import EMA, reestimate


def test_average_is_the_closed_form():
    live = nn.Linear(3, 2)
    start = live.weight.detach().clone()
    ema = EMA(live, decay=0.9)
    with torch.no_grad():
        live.weight.add_(1.0)
    ema.update(live)
    ema.update(live)
    torch.testing.assert_close(ema.network.weight, start * 0.81 + (start + 1) * 0.19)


def test_ema_warmup_follows_at_first():
    live = nn.Linear(2, 2)
    ema = EMA(live, decay=0.999, warm=True)
    before = ema.network.weight.detach().clone()
    with torch.no_grad():
        live.weight.add_(1.0)
    ema.update(live)
    torch.testing.assert_close(ema.network.weight, before + 0.9)


def test_reestimated_statistics_are_those_of_the_batches():
    norm = nn.BatchNorm1d(3)
    norm.running_mean.fill_(7.0)
    batches = [torch.randn(50, 3, generator=torch.Generator().manual_seed(i)) * 2 + 1 for i in range(4)]
    reestimate(norm, lambda network, batch: network(batch), batches)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    assert not norm.training and norm.momentum == 0.1
