"""The generator as a whole: shapes, the right mask, seeing by the return value, editing by hooks."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmm.config import ModelConfig
from dmm.models import create_model, list_models
from dmm.models.dmmgan import DMMGAN
from dmm.models.registry import find_model, register_model

TEXT, CONDITION, NOISE = 6, 5, 4


@functools.cache
@torch.no_grad()
def generator(**changes) -> DMMGAN:
    """In evaluation mode, with batch-norm statistics of its own, so that its pictures are not flat."""
    torch.manual_seed(3)
    model = DMMGAN(TEXT, CONDITION, NOISE, **({"widths": (4, 6, 4), "residuals": 1} | changes)).train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    model(**inputs([8, 5, 7, 6] * 4, seed=1))
    return model.eval()


def inputs(lengths, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch whose first and last token is no word, features past the end zero, as the encoder gives them."""
    random = torch.Generator().manual_seed(seed)
    batch, steps = len(lengths), max(lengths)
    position, lengths = torch.arange(steps)[None], torch.tensor(lengths)[:, None]
    words = torch.randn(batch, TEXT, steps, generator=random) * (position < lengths)[:, None]
    return {
        "sentence": torch.randn(batch, TEXT, generator=random),
        "words": words,
        "mask": (position == 0) | (position >= lengths - 1),
        "noise": torch.randn(batch, NOISE, generator=random),
        "eps": torch.randn(batch, CONDITION, generator=random),
    }


@torch.no_grad()
def test_three_pictures_and_everything_on_the_way():
    trace = generator()(**inputs([6, 4]))
    assert [image.shape for image in trace.images] == [(2, 3, s, s) for s in (64, 128, 256)]
    assert [stage.hidden.shape[1] for stage in trace.stages] == [4, 6, 4]
    for stage, width, side in zip(trace.stages[1:], (4, 6), (64, 128), strict=True):
        absent = {f.name for f in dataclasses.fields(stage) if getattr(stage, f.name) is None}
        assert absent == {"word_attention", "word_context", "sentence_attention", "sentence_context", "redescription", "affines"}
        assert stage.writing_gate.shape == (2, 1, 6) and stage.memory.shape == (2, 2 * width, 6)
        assert stage.addressing.shape == (2, 6, side, side) and stage.response_gate.shape == (2, 3, side, side)


@torch.no_grad()
def test_without_the_global_memory_its_fields_are_absent():
    stage = generator(global_memory=False)(**inputs([5])).stages[1]
    assert stage.global_memory is None and stage.global_weights is None
    assert stage.response_gate.shape == (1, 1, 64, 64)


@torch.no_grad()
def test_the_first_stage_alone_is_the_same_picture():
    model, batch = generator(), inputs([6, 4])
    alone = model(**batch, stages=1)
    assert len(alone.stages) == 1
    assert torch.equal(alone.stages[0].image, model(**batch).stages[0].image)


@torch.no_grad()
def largest_gap(model: DMMGAN, batch: dict[str, torch.Tensor], lengths) -> float:
    """Between the pictures of a padded batch and those of each caption alone."""
    together, gaps = model(**batch), []
    assert together.images[2].std() > 0.1
    for b, length in enumerate(lengths):
        one = {name: value[b : b + 1] for name, value in batch.items()}
        one["words"], one["mask"] = one["words"][:, :, :length], one["mask"][:, :length]
        gaps += [float((ours[b : b + 1] - own).abs().max()) for ours, own in zip(together.images, model(**one).images, strict=True)]
    return max(gaps)


@settings(max_examples=6)
@given(st.lists(st.integers(3, 8), min_size=1, max_size=4), st.integers(0, 99))
def test_a_padded_batch_equals_one_at_a_time(lengths, seed):
    batch = {name: value.double() if value.is_floating_point() else value for name, value in inputs(lengths, seed).items()}
    assert largest_gap(copy.deepcopy(generator()).double(), batch, lengths) < 1e-12


def test_a_padded_batch_equals_one_at_a_time_in_float32():
    assert largest_gap(generator(), inputs([8, 3, 5]), [8, 3, 5]) < 5e-5  # untrained weights amplify rounding


@torch.no_grad()
def test_the_published_pairing_does_not():
    model, batch = generator(mask_pairing="published"), inputs([8, 3])
    alone = model(**{name: value[1:] for name, value in batch.items()})
    assert (model(**batch).images[2][1:] - alone.images[2]).abs().max() > 1e-2


PLACES = {  # module of a refinement stage -> trace field
    "writing_gate": "writing_gate",
    "writing": "memory",
    "addressing": "addressing",
    "reading": "response",
    "response_gate": "response_gate",
    "global_memory.writing_gate": "global_gate",
    "global_memory.writing": "global_memory",
    "global_memory.addressing": "global_weights",
    "global_memory.reading": "global_response",
}


@pytest.mark.parametrize(("place", "name"), PLACES.items())
@torch.no_grad()
def test_a_hook_sees_what_the_trace_says_and_edits_the_picture(place, name):
    model, batch = generator(), inputs([6, 4])
    module, seen = model.refinements[0].get_submodule(place), []
    before = model(**batch)
    hook = module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    watched = model(**batch)
    hook.remove()
    assert torch.equal(seen[0], getattr(watched.stages[1], name))
    assert torch.equal(watched.images[2], before.images[2])
    hook = module.register_forward_hook(lambda module, inputs, output: output * 0)
    edited = model(**batch)
    hook.remove()
    assert getattr(edited.stages[1], name).abs().sum() == 0
    assert torch.equal(edited.images[0], before.images[0])
    assert not torch.equal(edited.images[1], before.images[1])
    assert torch.equal(model(**batch).images[2], before.images[2])


def test_gradients_reach_every_parameter():
    model = copy.deepcopy(generator()).train()
    sum(image.square().sum() for image in model(**inputs([6, 4])).images).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_the_registry_builds_every_system():
    assert "dmmgan" in {entry.name for entry in list_models()}
    config = ModelConfig(widths=(2, 2, 2), noise_dim=4, condition_dim=4, text_dim=8)
    for entry in list_models():
        assert entry.paper and entry.adds
        assert isinstance(create_model(dataclasses.replace(config, system=entry.name)), torch.nn.Module)
    with pytest.raises(ValueError, match="did you mean 'dmmgan'"):
        find_model("dmmgann")
    with pytest.raises(ValueError, match="registered already"):
        register_model("dmmgan", paper="", adds="")(lambda config: None)


def test_widths_and_stages_must_agree():
    with pytest.raises(ValueError, match="widths"):
        from dmm.models.multistage import MultiStage

        MultiStage(TEXT, CONDITION, NOISE, (2, 2), [])
