"""Causal mediation analysis against generators whose memory is known to do everything, half of the work, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dmm.aviary.grammar import AVIARY_VOCABULARY, read_slots
from dmm.aviary.traits import COLOURS
from dmm.config import ConfigError, ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.metrics import map_scores
from dmm.metrics.exchange import exchanges, sample_exchanges
from dmm.metrics.memory import measure
from dmm.metrics.pathways import Text, generate, pathways, word_maps
from dmm.models.memory import KeyAddressing, ValueReading
from dmm.models.multistage import Conditions
from dmm.models.registry import create_model
from dmm.trace import StageTrace, Trace

VOCAB = Vocabulary(AVIARY_VOCABULARY())
CAPTIONS = (
    "this bird has a yellow crown and a white belly",
    "a small bird with a red breast and black wings",
    "this bird has blue wings and a white throat",
    "a bird with a green tail and an orange bill",
)


def number(words: Tensor, mask: Tensor) -> Tensor:
    """Words B D T to one number a caption, B: the mean over its words."""
    return (words.mean(1) * ~mask).sum(1) / (~mask).sum(1)


class HandMadeStage(nn.Module):
    """Adds ``share`` times a number of its words to the map; the exact place of each word is a corner of the map."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.addressing = KeyAddressing()
        self.reading = ValueReading()

    def forward(self, image: Tensor, conditions: Conditions) -> StageTrace:
        answer = self.share * number(conditions.words, conditions.mask)[:, None, None, None]
        finer = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
        maps = self.addressing(image, conditions.words[:, : image.shape[1]], conditions.mask)
        return StageTrace(hidden=finer + answer, addressing=maps)


class HandMadeGenerator(nn.Module):
    """The first stage shows ``1 - memory`` of the sentence, the refinements add ``memory`` of the words, half each."""

    def __init__(self, memory: float):
        super().__init__()
        self.memory = memory
        self.refinements = nn.ModuleList([HandMadeStage(memory / 2), HandMadeStage(memory / 2)])

    def conditioning(self, sentence: Tensor, eps: Tensor):
        return sentence, sentence, torch.zeros_like(sentence)

    def forward(self, sentence, words, mask, noise, eps) -> Trace:
        code = self.conditioning(sentence, eps)[0]
        hidden = (1 - self.memory) * code.mean(1)[:, None, None, None].expand(-1, 3, 4, 4)
        trace = Trace(stages=[StageTrace(image=hidden, hidden=hidden)], code=code, mask=mask)
        for stage in self.refinements:
            record = stage(trace.stages[-1].hidden, Conditions(sentence, words, mask, code))
            record.image = record.hidden
            trace.stages.append(record)
        return trace


class HandMadePipeline(nn.Module):
    """Word features are fixed random vectors, the sentence is their mean."""

    name, device = "hand-made", torch.device("cpu")

    def __init__(self, generator: nn.Module, width: int = 6):
        super().__init__()
        self.generator, self.vocab = generator, VOCAB
        self.table = torch.randn(len(VOCAB), width, generator=torch.Generator().manual_seed(0))

    def noise(self, seeds):
        return torch.zeros(len(seeds), 4), torch.zeros(len(seeds), 5)

    def encode(self, captions):
        ids, _ = self.vocab.batch([self.vocab.encode(caption) for caption in captions])
        words, mask = self.table[ids].transpose(1, 2), self.vocab.mask(ids)
        sentence = (words * ~mask[:, None]).sum(2) / (~mask).sum(1, keepdim=True)
        return words, sentence, mask, [self.vocab.labels(row) for row in ids]


def first_colour(images: Tensor) -> dict:
    """A judge that always answers with the same colour."""
    logits = torch.zeros(len(images), len(COLOURS))
    logits[:, 0] = 1
    return {"logits": dict.fromkeys(("wing", "belly", "breast", "crown", "throat", "tail", "bill"), logits)}


@pytest.mark.parametrize("memory", [1.0, 0.0])
def test_share_of_a_memory_that_does_all_or_nothing(memory):
    result = measure(HandMadePipeline(HandMadeGenerator(memory)), [[c] for c in CAPTIONS], 0, first_colour)
    assert result["captions"] == len(CAPTIONS)
    if memory:
        assert result["memory_share"]["16"]["share"] == pytest.approx(1.0)
        assert result["change"]["16"]["initial"] == 0
        assert result["change"]["16"]["memory_128"] == pytest.approx(result["change"]["16"]["total"] / 2)
    else:
        assert result["memory_share"] == {} and result["change"]["16"]["memory"] == 0
        assert result["change"]["16"]["initial"] == pytest.approx(result["change"]["16"]["total"])


def test_a_sum_of_pathways_has_no_interaction():
    result = measure(HandMadePipeline(HandMadeGenerator(0.25)), [[c] for c in CAPTIONS], 0, None)
    assert result["memory_share"]["16"]["share"] == pytest.approx(0.25, abs=1e-5)
    assert result["interaction"]["16"] == pytest.approx(0, abs=1e-5)
    assert "success" not in result  # without a judge there is no ground truth


def test_exchanges_change_one_part_and_nothing_else():
    found = exchanges(CAPTIONS[0], VOCAB)
    assert {(e.part, e.word) for e in found} == {("crown", "yellow"), ("belly", "white")}
    for e in found:
        before, after = read_slots(e.caption), read_slots(e.other)
        assert e.new not in ("yellow", "white") and before.pop(e.part) == (e.old,) and after.pop(e.part) == (e.new,)
        assert before == after
        assert VOCAB.labels(VOCAB.encode(e.caption))[e.position] == e.word
        assert VOCAB.labels(VOCAB.encode(e.other))[e.position] == e.new_word
    assert exchanges("a red bird", VOCAB) == []  # the whole bird is no part
    assert exchanges("a red and white wing", VOCAB) == []  # two colours
    assert {e.word for e in exchanges("a red bird", VOCAB, parts=False)} == {"red"}


def test_a_sample_does_not_depend_on_the_others():
    both = sample_exchanges([[CAPTIONS[0]], [CAPTIONS[1]]], VOCAB, seed=3)
    assert sample_exchanges([[CAPTIONS[0]]], VOCAB, seed=3) == both[:1]
    assert sample_exchanges([["a bird"], [CAPTIONS[1]]], VOCAB, seed=3) == [None, both[1]]
    with pytest.raises(ConfigError, match="none of 1 captions"):
        sample_exchanges([["a bird"]], VOCAB, 0)


CONFIG = ModelConfig(widths=(4, 4, 4), residuals=1, noise_dim=4, condition_dim=5, text_dim=6)
PATHWAYS = {
    "dmmgan": {"total", "initial", "memory_128", "memory_256", "memory", "global", "sentence"},
    "dmgan": {"total", "initial", "memory_128", "memory_256", "memory"},
    "attngan": {"total", "initial", "memory_128", "memory_256", "memory"},
    "mirrorgan": {"total", "initial", "memory_128", "memory_256", "memory", "sentence_attention", "sentence"},
    "stackgan": {"total", "initial", "joining", "sentence"},
    "dfgan": {"total"},
}


def texts(generator: nn.Module, count: int = 2) -> tuple[Text, Text]:
    rng = torch.Generator().manual_seed(1)
    mask = torch.tensor([[True, False, False, False, True]]).expand(count, -1)

    def text():
        sentence = torch.randn(count, 6, generator=rng)
        code = generator.conditioning(sentence, torch.zeros(count, 5))[0] if hasattr(generator, "conditioning") else None
        return Text(sentence, torch.randn(count, 6, 5, generator=rng), mask, code)

    return text(), text()


@pytest.mark.parametrize("system", PATHWAYS)
@torch.no_grad()
def test_pathways_of_every_system(system):
    torch.manual_seed(0)
    generator = create_model(ModelConfig(**{**CONFIG.__dict__, "system": system})).eval()
    for parameter in generator.parameters():  # DF-GAN's affine layers start as the identity
        parameter.normal_(0, 0.3)
    assert set(pathways(generator)) == PATHWAYS[system]
    text, other = texts(generator)
    noise, eps = torch.randn(2, 4), torch.zeros(2, 5)
    base, swapped = generate(generator, text, noise, eps), generate(generator, other, noise, eps)
    total = generate(generator, text, noise, eps, pathways(generator)["total"], other)
    for image, expected in zip(total.images, swapped.images, strict=True):
        assert torch.equal(image, expected)
    for name, pathway in pathways(generator).items():
        last = generate(generator, text, noise, eps, pathway, other)
        changed = [not torch.equal(image, own) for image, own in zip(last.images, base.images, strict=True)]
        first = min([*pathway.words, *pathway.code, 9]) if not (pathway.initial or name == "total") else 0
        assert changed == [stage >= first for stage in range(len(changed))], name
    assert torch.equal(generate(generator, text, noise, eps).images[-1], base.images[-1])  # no hook stays


@torch.no_grad()
def test_permuted_words_permute_maps_and_nothing_else():
    """Why the map of another word is the control of permuted words: a memory has no order."""
    torch.manual_seed(0)
    generator = create_model(ModelConfig(**{**CONFIG.__dict__, "system": "dmmgan"})).eval()
    text, _ = texts(generator)
    order = torch.tensor([0, 2, 3, 1, 4])
    permuted = Text(text.sentence, text.words[:, :, order], text.mask, text.code)
    own, new = (generate(generator, t, torch.zeros(2, 4), torch.zeros(2, 5)) for t in (text, permuted))
    torch.testing.assert_close(own.images[-1], new.images[-1])
    torch.testing.assert_close(word_maps(own.stages[1])[:, order], word_maps(new.stages[1]))


def test_scores_of_a_map_that_is_the_mask_and_of_chance():
    rng = np.random.default_rng(0)
    inside = torch.zeros(2, 16, 16)
    inside[:, 3:7, 5:9] = 1
    assert map_scores.lift(inside, inside).tolist() == [16.0, 16.0]  # the inverse of the area's share: the highest possible
    assert map_scores.mass(inside, inside).tolist() == [1, 1] and map_scores.points(inside, inside).tolist() == [1, 1]
    even = torch.full_like(inside, 0.2)
    torch.testing.assert_close(map_scores.lift(even, inside), torch.ones(2))
    torch.testing.assert_close(map_scores.mass(even, inside), torch.full((2,), 1 / 16))
    torch.testing.assert_close(map_scores.points(even, inside), torch.full((2,), 36 / 256))  # the part and one place around it
    chance = torch.from_numpy(rng.random((400, 16, 16))).float()
    assert map_scores.lift(chance, inside[:1].expand(400, -1, -1)).mean() == pytest.approx(1, abs=0.05)
    assert map_scores.rank_correlation(chance, chance.roll(1, 0)).mean() == pytest.approx(0, abs=0.02)
    assert map_scores.rank_correlation(chance[:3], chance[:3] ** 3).tolist() == pytest.approx([1, 1, 1])
    nothing = torch.zeros(2, 16, 16)
    for score in (map_scores.lift, map_scores.mass, map_scores.points):
        assert score(even, nothing).isnan().all()


def test_ranks_share_ties():
    values = torch.tensor([[[3.0, 1.0], [1.0, 7.0]]])
    other = torch.tensor([[[3.0, 1.5], [1.5, 4.0]]])
    assert map_scores.rank_correlation(values, other).item() == pytest.approx(1)


def test_entropy_and_share_outside():
    maps = torch.zeros(1, 4, 2, 2)
    maps[:, 1:3] = 0.5
    mask = torch.tensor([[True, False, False, True]])
    assert map_scores.entropy(maps, mask).item() == pytest.approx(1)
    maps[:, 1], maps[:, 2] = 1, 0
    assert map_scores.entropy(maps, mask).item() == pytest.approx(0)
    change = torch.ones(1, 10, 10)
    assert map_scores.outside_most(change).item() == pytest.approx(0.9)
    change[:, 0] = 9
    assert map_scores.outside_most(change).item() == pytest.approx(0.5)
