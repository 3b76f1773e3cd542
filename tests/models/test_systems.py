"""Every registered system alike: shapes, the right mask, the Trace's honesty, gradients, editing by hooks; and DM-GAN's ablations."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dmm.config import ModelConfig
from dmm.models.attngan import AttnGAN
from dmm.models.discriminators import create_discriminators
from dmm.models.dmgan import DMGAN
from dmm.models.memory_stage import MemoryStage
from dmm.models.mirrorgan import MirrorGAN
from dmm.models.multistage import Conditions
from dmm.models.registry import create_model, find_model, list_models, picture_sizes
from dmm.models.stackgan import StackGAN
from dmm.training.objectives import OBJECTIVES

TEXT, CONDITION, NOISE = 6, 5, 4
CONFIG = ModelConfig(widths=(4, 4, 4), residuals=1, noise_dim=NOISE, condition_dim=CONDITION, text_dim=TEXT, discriminator_width=2)
HAS = {  # fields of a refinement stage's trace; what is not here is None
    "stackgan": set(),
    "attngan": {"word_attention", "word_context"},
    "attngan-dcgan": {"word_attention", "word_context"},
    "mirrorgan": {"word_attention", "word_context", "sentence_attention", "sentence_context"},
    "dmgan": {"writing_gate", "memory", "key", "value", "addressing", "response", "response_gate"},
}
ABLATIONS = {  # memory, writing gate, response gate -> fields
    (False, False, False): set(),
    (True, False, False): {"memory", "key", "value", "addressing", "response"},
    (True, True, False): HAS["dmgan"] - {"response_gate"},
    (True, True, True): HAS["dmgan"],
}


def build(system: str, **changes) -> torch.nn.Module:
    torch.manual_seed(5)
    return create_model(dataclasses.replace(CONFIG, system=system, **changes))


def inputs(lengths, seed: int = 0) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    batch, steps = len(lengths), max(lengths)
    mask = torch.arange(steps)[None] >= torch.tensor(lengths)[:, None]
    return {
        "sentence": torch.randn(batch, TEXT, generator=random),
        "words": torch.randn(batch, TEXT, steps, generator=random).masked_fill(mask[:, None], 0.0),
        "mask": mask,
        "noise": torch.randn(batch, NOISE, generator=random),
        "eps": torch.randn(batch, CONDITION, generator=random),
    }


def fields(stage) -> set[str]:
    return {f.name for f in dataclasses.fields(stage) if getattr(stage, f.name) is not None} - {"image", "hidden"}


@pytest.mark.parametrize("system", HAS)
@torch.no_grad()
def test_pictures_and_nothing_that_the_system_does_not_have(system):
    trace = build(system)(**inputs([5, 3]))
    sizes = (256,) if system == "attngan-dcgan" else (64, 128, 256)
    assert [image.shape for image in trace.images] == [(2, 3, s, s) for s in sizes]
    assert [stage.hidden.shape[-1] for stage in trace.stages] == [64, 128, 256]
    assert [fields(stage) for stage in trace.stages] == [set(), HAS[system], HAS[system]]
    assert trace.code.shape == trace.mean.shape == trace.logvar.shape == (2, CONDITION)
    for stage, side in zip(trace.stages[1:], (64, 128), strict=True):
        attention = stage.word_attention if stage.addressing is None else stage.addressing
        if attention is not None:
            assert attention.shape == (2, 5, side, side)
            torch.testing.assert_close(attention.sum(1), torch.ones(2, side, side))
            assert attention[1, 3:].abs().sum() == 0


@pytest.mark.parametrize("system", HAS)
@torch.no_grad()
def test_padding_changes_nothing(system):
    model = build(system).eval()
    short, long = inputs([3]), inputs([3])
    long["words"] = torch.nn.functional.pad(short["words"], (0, 2))
    long["mask"] = torch.nn.functional.pad(short["mask"], (0, 2), value=True)
    torch.testing.assert_close(model(**short).images[-1], model(**long).images[-1])


@pytest.mark.parametrize("system", HAS)
def test_gradients_reach_every_parameter(system):
    model = build(system)
    sum(image.square().sum() for image in model(**inputs([5, 3])).images).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("system", "place", "name"),
    [
        ("attngan", "addressing", "word_attention"),
        ("attngan", "reading", "word_context"),
        ("mirrorgan", "addressing", "word_attention"),
        ("mirrorgan", "sentence_attention", "sentence_attention"),
        ("mirrorgan", "sentence_reading", "sentence_context"),
        ("dmgan", "writing_gate", "writing_gate"),
        ("dmgan", "response_gate", "response_gate"),
    ],
)
@torch.no_grad()
def test_a_hook_edits_what_the_trace_names(system, place, name):
    model, batch = build(system), inputs([5, 3])
    before = model(**batch)
    hook = model.refinements[0].get_submodule(place).register_forward_hook(lambda module, inputs, output: output * 0)
    edited = model(**batch)
    hook.remove()
    assert getattr(edited.stages[1], name).abs().sum() == 0
    assert torch.equal(edited.images[0], before.images[0])
    assert not torch.equal(edited.images[1], before.images[1])


@torch.no_grad()
def test_the_published_pairing_is_right_for_one_caption_only():
    model = AttnGAN(TEXT, CONDITION, NOISE, (4, 4, 4), 1).eval()
    published = AttnGAN(TEXT, CONDITION, NOISE, (4, 4, 4), 1, mask_pairing="published").eval()
    published.load_state_dict(model.state_dict())
    assert torch.equal(model(**inputs([3])).images[2], published(**inputs([3])).images[2])
    assert not torch.equal(model(**inputs([5, 3])).images[2], published(**inputs([5, 3])).images[2])


@torch.no_grad()
def test_attention_by_hand():
    """The context at a place is the words weighted by a softmax of their products with the place."""
    model, batch = AttnGAN(TEXT, CONDITION, NOISE, (4, 4, 4), 1), inputs([5, 3])
    trace = model(**batch)
    words = torch.einsum("cd,bdt->bct", model.refinements[0].word_projection.linear.weight[:, :, 0, 0], batch["words"])
    place = trace.stages[0].hidden[1, :, 7, 9]
    weights = (words[1, :, :3].T @ place).softmax(0)
    torch.testing.assert_close(trace.stages[1].word_attention[1, :3, 7, 9], weights)
    torch.testing.assert_close(trace.stages[1].word_context[1, :, 7, 9], words[1, :, :3] @ weights)


@torch.no_grad()
def test_sentence_attention_sums_to_one_over_channels():
    stage = MirrorGAN(TEXT, CONDITION, NOISE, (4, 4, 4), 1)(**inputs([5, 3])).stages[1]
    torch.testing.assert_close(stage.sentence_attention.sum(1), torch.ones(2, 64, 64))


@torch.no_grad()
def test_stackgan_reads_no_words():
    model, batch = StackGAN(TEXT, CONDITION, NOISE, (8, 4, 2), 1).eval(), inputs([5, 3])
    without = model(**batch | {"words": None, "mask": None})
    assert torch.equal(without.images[2], model(**batch).images[2])
    assert [stage.hidden.shape[1] for stage in without.stages] == [8, 4, 2]


# --- the two systems of before StackGAN++ -----------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "sizes"), [("gan-int-cls", (64,)), ("stackgan-v1", (64, 256))])
def test_the_pictures_of_the_first_systems_need_no_words(system, sizes):
    model, batch = build(system), inputs([5, 3])
    trace = model(**batch | {"words": None})
    assert tuple(image.shape[-1] for image in trace.images) == sizes == picture_sizes(dataclasses.replace(CONFIG, system=system))
    assert [(stage.hidden.shape[-1], fields(stage)) for stage in trace.stages] == [(size, set()) for size in sizes]
    assert (trace.code is None) == (system == "gan-int-cls")
    sum(image.square().sum() for image in trace.images).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_gan_int_cls_by_hand():
    """The compressed sentence beside z, a transposed convolution for each doubling; the discriminator compresses too."""
    model, batch = build("gan-int-cls").eval(), inputs([5, 3])
    compressed = torch.nn.functional.leaky_relu(batch["sentence"] @ model.compression.linear.weight.T, 0.2)
    seed = torch.cat((compressed, batch["noise"]), 1) @ model.stack.linear.weight.T * model.stack.norm.weight / (1 + 1e-5) ** 0.5
    first = torch.relu(seed).view(2, 64, 4, 4)
    seen = []
    hook = model.stack.deconvolutions.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    hidden = model(**batch).stages[0].hidden
    hook.remove()
    torch.testing.assert_close(seen[0], first)
    assert hidden.shape == (2, 4, 64, 64) and hidden.min() >= 0
    (critic,) = create_discriminators(dataclasses.replace(CONFIG, system="gan-int-cls"))
    assert critic.compression.linear.weight.shape == (CONDITION, TEXT) and critic.joint[0].weight.shape == (16, 16 + CONDITION, 1, 1)
    features = critic.features(torch.rand(2, 3, 64, 64))
    assert critic.conditional(features, batch["sentence"]).shape == (2,) and features.shape[-1] == 4


@torch.no_grad()
def test_stage_two_of_stackgan_reads_the_picture_and_the_code():
    model, batch = build("stackgan-v1").eval(), inputs([5, 3])
    trace, (stage,) = model(**batch), model.refinements
    seen = []
    hook = stage.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model(**batch)
    hook.remove()
    assert torch.equal(seen[0], trace.images[0])
    assert stage.encoder(trace.images[0]).shape == (2, 32, 16, 16)
    other = stage(trace.images[0], dataclasses.replace(conditions(trace), code=trace.code + 1)).hidden
    torch.testing.assert_close(stage(trace.images[0], conditions(trace)).hidden, trace.stages[1].hidden)
    assert not torch.equal(other, trace.stages[1].hidden)
    assert [net.size for net in create_discriminators(dataclasses.replace(CONFIG, system="stackgan-v1"))] == [64, 256]
    with pytest.raises(ValueError, match="expected three widths, found \\(4, 4\\)"):
        build("stackgan-v1", widths=(4, 4))


def conditions(trace) -> Conditions:
    return Conditions(trace.code, None, None, trace.code)


# --- DM-GAN's ablations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parts", "has"), ABLATIONS.items(), ids=["baseline", "M", "M+WG", "M+WG+RG"])
def test_an_ablation_lacks_just_its_parts(parts, has):
    memory, writing_gate, response_gate = parts
    model = build("dmgan", memory=memory, writing_gate=writing_gate, response_gate=response_gate)
    trace = model(**inputs([5, 3]))
    assert [fields(stage) for stage in trace.stages] == [set(), has, has]
    sum(image.square().sum() for image in trace.images).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_without_writing_gate_a_slot_is_the_projected_word():
    model, batch = build("dmgan", writing_gate=False, response_gate=False), inputs([5, 3])
    stage = model(**batch).stages[1]
    assert torch.equal(stage.memory, model.refinements[0].word_projection(batch["words"]))


@torch.no_grad()
def test_without_response_gate_the_answer_lies_beside_the_picture():
    model, batch = build("dmgan", response_gate=False), inputs([5, 3])
    seen = []
    hook = model.refinements[0].response.register_forward_hook(lambda module, inputs, output: seen.append(output))
    trace = model(**batch)
    hook.remove()
    assert torch.equal(seen[0], torch.cat((trace.stages[0].hidden, trace.stages[1].response), dim=1))


def test_gates_without_their_memory_are_refused():
    with pytest.raises(ValueError, match="without a memory"):
        DMGAN(TEXT, CONDITION, NOISE, (2, 2), memory=False)
    with pytest.raises(ValueError, match="global memory needs"):
        MemoryStage(TEXT, 2, 2, response_gate=False, global_memory=torch.nn.Identity())


# --- what training must know ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
def test_an_entry_says_what_training_must_know(entry):
    assert entry.losses
    assert set(entry.losses) <= {"adversarial", "colour", "hinge", "magp", "kl", "damsm", "stream", "interpolation"}
    assert entry.reference.startswith("none: ") or "commit " in entry.reference
    assert entry.condition in ("sentence", "mean") and entry.objective in OBJECTIVES and entry.discriminated in ("all", "last")


def test_discriminators_are_built_as_the_entry_says():
    stack = create_discriminators(dataclasses.replace(CONFIG, system="stackgan"))
    assert [net.size for net in stack] == [64, 128, 256] and all(net.text_first for net in stack)
    assert stack[0].joint[0].in_channels == 8 * 2 + CONDITION
    (plain,) = create_discriminators(dataclasses.replace(CONFIG, system="attngan-dcgan"))
    assert plain.size == 256 and plain.unconditional_logit is None
    assert find_model("mirrorgan").norm == "batch" and find_model("dmgan").norm == "spectral"
