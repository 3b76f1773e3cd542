"""What a step logs stays on the device until the step's end, where it is read at once."""

import pytest
import torch
from torch import Tensor

from dmm.training.adversarial import GanStep
from dmm.training.steps import CaptionStep, MatchStep
from dmm.training.transfer import ScalarLog


def test_noted_scalars_are_read_as_means_over_the_pieces():
    weight = torch.tensor(2.0, requires_grad=True)
    values = ScalarLog()
    values.add({"loss": weight * 3, "kl": torch.tensor(0.25, dtype=torch.bfloat16)})
    values.add({"loss": weight * 4})
    assert values.read() == {"loss": 7.0, "kl": 0.25}


@pytest.mark.parametrize("kind", ["match", "caption", "gan"])
def test_a_step_asks_for_its_values_once(kind, toy, earlier_runs, monkeypatch):
    if kind == "gan":
        step = GanStep(toy("gan", initial_steps=0, frozen_steps=0, accumulate=2), *earlier_runs)
    else:
        step = MatchStep(toy("match", accumulate=2)) if kind == "match" else CaptionStep(toy("caption", accumulate=2), earlier_runs[0])
    asked = []

    def noting(name, function):
        return lambda self, *args: (asked.append(name) if self.is_floating_point() else None, function(self, *args))[1]

    for name, function in (("item", Tensor.item), ("tolist", Tensor.tolist), ("__float__", Tensor.__float__)):
        monkeypatch.setattr(Tensor, name, noting(name, function))
    values = step.update(0)
    assert asked == ["tolist"] and all(type(value) is float for value in values.values())
    assert {"match": "told_accuracy", "caption": "repetition", "gan": "d64"}[kind] in values
