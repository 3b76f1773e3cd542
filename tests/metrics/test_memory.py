"""Causal mediation analysis against generators whose memory is known to do everything, half of the work, or nothing."""

from __future__ import annotations

import json

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
from dmm.metrics.memory import Rows, measure, score_named, summary
from dmm.metrics.memory_controls import blocks, cascade, controls, uniform_addressing
from dmm.metrics.memory_metric import measure_sentences
from dmm.metrics.named_parts import named_parts
from dmm.metrics.pathways import Text, generate, pathways, word_maps
from dmm.metrics.segmenter import NAMES, part_mask
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

    def fused(self):
        return self

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
    "stackgan-v1": {"total", "initial", "joining", "sentence"},
    "gan-int-cls": {"total"},
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


def test_words_that_speak_of_parts():
    caption = "this bird is blue with a red cap, black tail feathers, a white eye ring and a strange grey abdomen"
    found = [(word.word, word.part, word.kind) for word in named_parts(caption, VOCAB)]
    assert found == [
        ("red", "crown", "colour"), ("cap", "crown", "part"), ("black", "tail", "colour"), ("tail", "tail", "part"),
        ("grey", "belly", "colour"), ("abdomen", "belly", "part"),
    ]  # fmt: skip
    labels = VOCAB.labels(VOCAB.encode(caption))  # "strange" is no word of Aviary's, and has no place there
    assert all(labels[word.position] == word.word for word in named_parts(caption, VOCAB))


def placed_maps(side: int = 16) -> tuple[Tensor, Tensor, list]:
    """Two captions; the maps of words that speak of a part are the part's mask, all others are noise: maps, mask, class numbers, words."""
    captions = CAPTIONS[:2]
    mask = VOCAB.mask(VOCAB.batch([VOCAB.encode(caption) for caption in captions])[0])
    segmentation = torch.zeros(2, side, side, dtype=torch.int64)
    words = [(b, word) for b, caption in enumerate(captions) for word in named_parts(caption, VOCAB)]
    maps = torch.rand(2, mask.shape[1], side, side, generator=torch.Generator().manual_seed(0))
    for number, part in enumerate(("crown", "belly", "breast", "wing")):
        segmentation[number // 2, 4 * number : 4 * number + 3, 2:5] = NAMES.index(part)
    for b, word in words:
        maps[b, word.position] = part_mask(segmentation[b], word.part).float()
    return maps, mask, segmentation, words


class FixedSegmenter:
    """Finds the same parts in every picture."""

    def __init__(self, segmentation: Tensor):
        self.segmentation = segmentation

    def segment(self, images: Tensor) -> Tensor:
        return self.segmentation[torch.arange(len(images)) % len(self.segmentation)]


def test_maps_that_are_the_masks_have_the_highest_scores_and_controls_are_at_chance():
    maps, mask, segmentation, words = placed_maps()
    rows = Rows()
    score_named(rows, "16", maps, mask, segmentation, words)
    area = 9 / 256
    assert len(words) == 8
    assert rows["lift", "16", "word"].tolist() == pytest.approx([1 / area] * 8, rel=1e-5)
    assert rows["pointing", "16", "word"].tolist() == rows["mass", "16", "word"].tolist() == [1] * 8
    assert rows["lift", "16", "uniform"].tolist() == pytest.approx([1] * 8)
    assert rows["mass", "16", "uniform"].tolist() == pytest.approx([area] * 8)
    noun = rows["kind", "16"] == 0  # the word after a noun is "and" or the end: noise, and at chance
    assert rows["lift", "16", "other word"][noun].mean().item() == pytest.approx(1, abs=0.4)
    assert rows["lift", "16", "other caption"].tolist() == [0] * 8  # parts of the other bird lie elsewhere


def test_the_interval_of_a_lift_is_over_captions():
    maps, mask, segmentation, words = placed_maps()
    rows = Rows()
    rows.add(("entropy", "16"), torch.ones(4))
    score_named(rows, "16", maps, mask, segmentation, words)
    found = summary(rows)["maps"]["16"]["by_kind"]["colour"]
    assert [found["lift"], *found["lift_interval_95"]] == pytest.approx([256 / 9] * 3, rel=1e-5)
    score_named(rows, "16", torch.ones_like(maps), mask, segmentation, words)  # two further captions, read evenly
    assert rows["caption", "16"].unique().tolist() == [0, 1, 2, 3]
    low, high = summary(rows)["maps"]["16"]["by_kind"]["colour"]["lift_interval_95"]
    assert low < 0.5 * (1 + 256 / 9) < high and 1 <= low and high <= 256 / 9 + 1e-3


def test_effects_inside_the_named_part():
    segmentation = torch.zeros(1, 16, 16, dtype=torch.int64)
    segmentation[:, :, :] = NAMES.index("crown")
    pipe = HandMadePipeline(HandMadeGenerator(0.5))
    result = measure(pipe, [[CAPTIONS[0]]] * 8, 0, first_colour, FixedSegmenter(segmentation))
    found = sum(e.part == "crown" for e in sample_exchanges([[CAPTIONS[0]]] * 8, VOCAB, 0)) / 8
    assert 0 < found < 1  # the crown is everywhere, the belly nowhere
    assert result["named_part_in_picture"]["16"] == pytest.approx({"found": found, "area": 1.0})
    assert result["locality"]["16"]["memory"] == pytest.approx(1.0)


def toy_pipeline(system: str = "dmmgan") -> HandMadePipeline:
    torch.manual_seed(0)
    config = ModelConfig(**{**CONFIG.__dict__, "system": system, "text_dim": 6})
    return HandMadePipeline(create_model(config).eval())


def test_cascade_redraws_from_the_last_block_to_the_first():
    generator = toy_pipeline().generator
    names = [name for name, _ in blocks(generator)]
    assert names == ["heads", "refinements.1", "refinements.0", "initial", "conditioning"]
    before = {name: value.clone() for name, value in generator.named_parameters()}
    for number, (name, copy) in enumerate(cascade(generator, 0)):
        assert name == names[number]
        for key, value in copy.named_parameters():
            block = next(i for i, prefix in enumerate(names) if key.startswith(prefix + "."))
            constant = before[key].numel() == 1 or before[key].std() == 0
            assert torch.equal(value, before[key]) == (block > number or bool(constant)), key
    assert all(torch.equal(value, before[key]) for key, value in generator.named_parameters())


@torch.no_grad()
def test_uniform_addressing_reads_all_words_alike_and_goes_away():
    generator = toy_pipeline().generator
    text, _ = texts(generator)
    with uniform_addressing(generator):
        maps = generate(generator, text, torch.zeros(2, 4), torch.zeros(2, 5)).stages[2].addressing
    assert torch.equal(maps.amax((2, 3)), maps.amin((2, 3)))
    torch.testing.assert_close(maps[:, :, 0, 0], torch.tensor([[0, 1 / 3, 1 / 3, 1 / 3, 0]] * 2))
    assert not torch.equal(generate(generator, text, torch.zeros(2, 4), torch.zeros(2, 5)).stages[2].addressing, maps)


@pytest.mark.parametrize("system", ["dmmgan", "mirrorgan", "stackgan"])
def test_controls_of_systems_with_and_without_words(system):
    pipe = toy_pipeline(system)
    drawn = sample_exchanges([[caption] for caption in CAPTIONS], VOCAB, 0)
    segmentation = torch.randint(0, len(NAMES), (4, 128, 128), generator=torch.Generator().manual_seed(0))
    result = controls(pipe, drawn, 0, first_colour, FixedSegmenter(segmentation), batch=3)
    assert json.loads(json.dumps(result)) == result
    assert list(result["random_weights"]) == ["none", *[name for name, _ in blocks(pipe.generator)]]
    if system == "stackgan":
        assert set(result) == {"captions", "second_noise", "random_weights"} and result["second_noise"]["maps"] == {}
    else:
        assert set(result["other_captions_words"]) == set(result["uniform_addressing"]) == {"change", "success"}
        lifts = [level["64"]["lift_in_named_part"] for level in result["random_weights"].values()]
        assert lifts[0] == lifts[2] and lifts[3] != lifts[2]  # the first refinement is re-drawn third


def test_without_ground_truth_only_what_needs_none():
    pipe = toy_pipeline("attngan")
    result = measure(pipe, [["a grey cat"], ["a black and white dog"]], 0, None)
    assert result["captions"] == 2
    assert {"memory_share", "change", "interaction", "maps"} <= set(result)
    assert not {"success", "locality", "named_part_in_picture"} & set(result)
    assert set(result["maps"]["64"]) == {"entropy_over_log_words", "lift_in_most_changed", "spearman_of_map_and_change"}


def test_sentences_of_a_file(tmp_path):
    file = tmp_path / "captions.txt"
    file.write_text("a grey cat\n\na black and white dog\na cat\n", encoding="utf-8")
    result = measure_sentences(toy_pipeline(), file, 3, ("memory",), "dmm evaluate toy --sentences captions.txt")
    assert json.loads(json.dumps(result)) == result
    assert (result["n"], result["metrics"]["memory"]["captions"], result["split"]) == (3, 2, "captions of captions.txt")
    assert set(result["metrics"]["memory"]["controls"]["other_captions_words"]) == {"change"}
    for content, metrics, said in (("a cat", ("memory",), "colour word"), ("", ("memory",), "found none"), ("a", ("fid",), "memory alone")):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            measure_sentences(toy_pipeline(), file, 3, metrics)
    with pytest.raises(ConfigError, match="expected a text file"):
        measure_sentences(toy_pipeline(), tmp_path / "none.txt", 3, ("memory",))
