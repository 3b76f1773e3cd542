"""Edits as data; edits of one pathway of a word; regions; what every system allows."""

from __future__ import annotations

import json

import pytest
import torch

from dmm.metrics.pathways import Pathway, generate, read_text
from dmm.models.registry import list_models
from dmm.trace import Trace
from explorer import edits as e
from explorer.edits import EditError, Exchange, FreezeNoise, Mute, UniformAddressing, attached
from explorer.interventions import MOST_EDITS, describe, from_data, from_json, lacks, to_data, to_json
from explorer.regions import read_region
from explorer.session import Session
from explorer.statistics import MissingQuantity
from tests.explorer.handmade import make_trace
from tests.explorer.test_edits import hooks, same
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system

OTHER = CAPTION.replace("red", "blue")


@pytest.fixture(scope="module")
def pipe():
    return toy_pipeline()


def generated(pipe, *edits, caption: str = CAPTION, seed: int = 3) -> Trace:
    with attached(pipe, *edits, caption=caption) as edited:
        return pipe(edited, seed=seed)


def images_equal(one: Trace, other: Trace) -> list[bool]:
    return [torch.equal(a, b) for a, b in zip(one.images, other.images, strict=True)]


ALL = (
    Mute("red"),
    Mute(3, "caption"),
    Mute("red", "memory", (1,)),
    Mute("red", "code"),
    Exchange("red", "blue", "memory", (2,)),
    Exchange(3, "blue", "initial"),
    e.ClampWritingGate(0.25),
    e.ClampWritingGate(1.0, "red", (1,)),
    e.ClampResponseGate(0.5, 0.25, 0.25),
    e.ClampResponseGate.only("words", (0.0, 0.25, 0.5, 1.0), (2,)),
    e.DropGlobal(),
    UniformAddressing((1, 2)),
    FreezeNoise("z", 7),
    FreezeNoise("eps"),
)


# --- data -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", ALL, ids=describe)
def test_every_edit_survives_json(edit):
    assert from_json(to_json([edit])) == (edit,)
    assert json.loads(to_json([edit])) == to_data([edit])


def test_defaults_are_left_out():
    assert to_json([Mute("red"), UniformAddressing()]) == '[{"edit":"mute","word":"red"},{"edit":"uniform_addressing"}]'
    assert to_json([]) == "" and from_json("") == from_json(None) == ()


def test_edits_are_said_in_words():
    assert describe(Mute("red", stages=(1,))) == "mute “red” in the memory only, at 128 px"
    assert describe(Exchange("red", "blue", "code")) == "read “blue” for “red” in the sentence code only"
    assert describe(e.ClampResponseGate.only("image", (0, 0, 0.5, 1))) == "answered by image alone, in the region 0.00, 0.00, 0.50, 1.00"
    assert describe(FreezeNoise("eps")) == "the noise of conditioning augmentation set to zero"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected JSON"),
        ("{}", "expected a list"),
        ("[" * 3000, "expected JSON"),
        (json.dumps([{"edit": "mute", "word": "red"}] * (MOST_EDITS + 1)), f"at most {MOST_EDITS}"),
        ("x" * 5000, "5000"),
        ('[{"edit": "__init__"}]', "expected each to name one of mute"),
        ('[{"word": "red"}]', "expected each to name one of mute"),
        ('[{"edit": ["mute"], "word": "red"}]', "expected each to name one of mute"),
        ('[{"edit": "mute", "word": "red", "where": {}}]', "where: expected one of memory"),
        ('[{"edit": "mute", "word": "red", "stages": [0]}]', "from 1"),
        ('[{"edit": "freeze_noise", "part": {}}]', "one of z, eps"),
        ('[{"edit": "mute"}]', "expected word"),
        ('[{"edit": "mute", "word": "red", "run": 1}]', "found “run”"),
        ('[{"edit": "mute", "word": null}]', "expected a word"),
        ('[{"edit": "mute", "word": true}]', "expected a word"),
        ('[{"edit": "mute", "word": -1}]', "counts from 0"),
        ('[{"edit": "mute", "word": "red", "where": "heart"}]', "expected one of memory"),
        ('[{"edit": "mute", "word": "red", "where": []}]', "expected one of memory"),
        ('[{"edit": "mute", "word": "red", "stages": 1}]', "expected numbers"),
        ('[{"edit": "mute", "word": "red", "stages": ["1"]}]', "expected numbers"),
        ('[{"edit": "mute", "word": "red", "where": "code", "stages": [1]}]', "memory and global only"),
        ('[{"edit": "exchange", "word": "red", "new": "light blue"}]', "expected one word"),
        ('[{"edit": "writing_gate", "value": "1"}]', "between 0 and 1"),
        ('[{"edit": "writing_gate", "value": NaN}]', "between 0 and 1"),
        ('[{"edit": "response_gate", "image": 1, "words": 1}]', "add up to 1"),
        ('[{"edit": "response_gate", "image": 1, "words": 0, "region": [0, 0, 2, 1]}]', "shares of the side"),
        ('[{"edit": "response_gate", "image": 1, "words": 0, "region": "all"}]', "expected (y0"),
        ('[{"edit": "freeze_noise", "part": "w"}]', "one of z, eps"),
        ('[{"edit": "freeze_noise", "seed": 1.5}]', "whole number"),
        ('[{"edit": "freeze_noise", "seed": 99999999999}]', "whole number"),
    ],
)
def test_what_no_edit_says_is_refused(text, said):
    with pytest.raises(EditError, match=said.replace("(", r"\(")):
        from_json(text)


def test_a_path_that_the_gate_does_not_have_is_refused():
    with pytest.raises(EditError, match="image, words, global"):
        e.ClampResponseGate.only("sky")


# --- words on one pathway -----------------------------------------------------------------------------------------------------


def test_a_word_muted_in_the_caption_is_a_shorter_caption(pipe):
    assert same(generated(pipe, Mute("red", "caption")), pipe(CAPTION.replace("red ", ""), seed=3))
    both = generated(pipe, Mute("a", "caption"), Exchange("red", "blue", "caption"))
    assert same(both, pipe("small blue bird with yellow crown", seed=3)) and both.captions == ["small blue bird with yellow crown"]


def test_unknown_words_stay_in_an_edited_caption(pipe):
    edited = generated(pipe, Exchange("red", "white", "caption"), caption="a small zorp red bird")
    assert edited.captions == ["a small zorp white bird"]


def test_positions_are_those_of_the_caption_as_given(pipe):
    first = generated(pipe, Mute(1, "caption"), Mute(6))  # the first "a" leaves, the sixth word is muted in the memory
    second = generated(pipe, Mute(5), caption=CAPTION.removeprefix("a "))
    assert images_equal(first, second) == [True] * 3
    assert first.words[0][5] == "a" and float(first.stages[1].addressing[0, 5].max()) == 0


@pytest.mark.parametrize("where", ["memory", "initial", "global", "code", "caption"])
def test_an_exchange_is_the_exchange_of_a_pathway(pipe, where):
    stages = (1, 2)
    pathway = {
        "memory": Pathway(words=stages),
        "initial": Pathway(initial=True),
        "global": Pathway(code=stages),
        "code": Pathway(True, stages),
        "caption": Pathway(True, stages, stages),
    }[where]
    noise, eps = pipe.noise([3])
    text, other = (read_text(pipe, [caption], eps) for caption in (CAPTION, OTHER))
    expected = generate(pipe.generator, text, noise, eps, pathway, other)
    found = generated(pipe, Exchange("red", "blue", where))
    assert images_equal(found, expected) == [True] * 3
    assert not images_equal(found, pipe(CAPTION, seed=3))[2]
    assert hooks(pipe) == 0


def test_a_pathway_leaves_the_others(pipe):
    bare = pipe(CAPTION, seed=3)
    assert images_equal(generated(pipe, Exchange("red", "blue", "memory", (2,))), bare) == [True, True, False]
    assert images_equal(generated(pipe, Mute("red", "global", (2,))), bare) == [True, True, False]
    code = generated(pipe, Mute("red", "initial"))
    assert not images_equal(code, bare)[0] and torch.equal(code.mask, bare.mask)


def test_exchanges_of_several_pathways_add_up_to_the_caption(pipe):
    found = generated(pipe, Exchange("red", "blue", "memory"), Exchange("red", "blue", "code"))
    assert images_equal(found, pipe(OTHER, seed=3)) == [True] * 3


def test_noises_are_held(pipe):
    three, four = pipe(CAPTION, seed=3), pipe(CAPTION, seed=4)
    assert same(generated(pipe, FreezeNoise("z", 4), FreezeNoise("eps", 4)), four)
    assert torch.equal(generated(pipe, FreezeNoise("eps", 4)).code, four.code)
    mean = generated(pipe, FreezeNoise("eps"))
    assert torch.equal(mean.code, mean.mean) and not torch.equal(three.code, three.mean)
    held = [generated(pipe, FreezeNoise("z"), seed=seed) for seed in (3, 4)]
    assert not images_equal(*held)[0]  # the conditioning noise still differs
    held = [generated(pipe, FreezeNoise("z"), FreezeNoise("eps"), seed=seed) for seed in (3, 4)]
    assert images_equal(*held) == [True] * 3


def test_uniform_addressing_reads_every_word_alike_and_no_muted_one(pipe):
    trace = generated(pipe, UniformAddressing((1,)), Mute("red"))
    weights = trace.stages[1].addressing[0, 1:-1]  # T H W
    muted = CAPTION.split().index("red")
    assert float(weights[muted].max()) == 0
    kept = torch.cat((weights[:muted], weights[muted + 1 :]))
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 7))
    assert float(trace.stages[2].addressing[0, 1:-1].std(0).max()) > 0


def test_a_response_forced_in_a_region_leaves_the_rest(pipe):
    bare = pipe(CAPTION, seed=3).stages[2].response_gate
    gate = generated(pipe, e.ClampResponseGate.only("words", (0.0, 0.0, 0.5, 1.0), (2,))).stages[2].response_gate  # 1 3 H W
    half = gate.shape[2] // 2
    torch.testing.assert_close(gate[0, :, :half].mean((1, 2)), torch.tensor([0.0, 1.0, 0.0]))
    assert torch.equal(gate[:, :, half:], bare[:, :, half:])


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Mute("zorp", "caption"), "not among the known words"),
        (Exchange("red", "zorp"), "not in this model's vocabulary"),
        (Mute(0, "caption"), "words count from 1"),
        (Mute(99, "code"), "is no word"),
        (Mute("red", stages=(3,)), "1 to 2"),
    ],
)
def test_words_that_do_not_fit_are_refused(pipe, edit, said):
    with pytest.raises(EditError, match=said):
        generated(pipe, edit)
    assert hooks(pipe) == 0


def test_the_last_word_cannot_be_muted(pipe):
    for where in ("caption", "code", "initial"):
        with pytest.raises(EditError, match="no word to read"):
            generated(pipe, Mute("red", where), caption="red")


# --- every system -----------------------------------------------------------------------------------------------------------

READ_WORDS = ("dmmgan", "dmgan", "attngan", "attngan-dcgan", "mirrorgan")
READ_CODE = ("dmmgan", "mirrorgan", "stackgan", "stackgan-v1")


@pytest.mark.parametrize("system", [entry.name for entry in list_models()])
def test_a_system_applies_what_it_has_and_says_what_it_lacks(system):
    pipe = toy_system(system)
    bare, missing = generated(pipe), lacks(pipe)
    assert ("mute:memory" in missing) == (system not in READ_WORDS)
    assert ("uniform_addressing" in missing) == (system not in READ_WORDS)
    assert ("exchange:global" in missing) == (system not in READ_CODE)
    assert ("writing_gate" in missing) == (system not in ("dmmgan", "dmgan"))
    assert ("drop_global" in missing) == (system != "dmmgan")
    assert ("freeze_noise:eps" in missing) == (system in ("dfgan", "gan-int-cls"))
    assert not {"mute:caption", "exchange:caption", "mute:code", "exchange:initial", "freeze_noise:z"} & missing.keys()
    assert all(reason.startswith(("this system", "the refinement stages of this system")) for reason in missing.values())
    tries = {f"exchange:{where}": Exchange("red", "blue", where) for where in e.PATHWAYS} | {"mute:memory": Mute("red")}
    tries |= {"uniform_addressing": UniformAddressing(), "freeze_noise:z": FreezeNoise("z"), "writing_gate": e.ClampWritingGate(0.0)}
    for name, edit in tries.items():
        if name in missing:
            with pytest.raises(EditError):
                generated(pipe, edit)
        else:
            generated(pipe, edit)
    assert same(generated(pipe), bare) and hooks(pipe) == 0


def test_how_a_word_reached_the_picture():
    session = Session("toy", load=lambda name: toy_pipeline())
    found = session.effects(None, CAPTION, 3, {"red": "blue"})
    (red,) = found.words
    assert (red.word, red.other, red.position) == ("red", "blue", 3)
    assert found.pathways == ("initial", "memory_128", "memory_256", "global", "total") and all(red.changes[p] > 0 for p in found.pathways)
    base, other = session.trace(None, CAPTION, 3).images[-1], session.trace(None, OTHER, 3).images[-1]
    torch.testing.assert_close(found.base[None], base)
    torch.testing.assert_close(red.pictures["total"][None], other)
    assert red.changes["total"] == pytest.approx(float((other - base).abs().mean()), rel=1e-3)
    for word, new, said in (("zorp", None, "not among"), ("red", "zorp", "vocabulary"), (99, None, "no word of")):
        with pytest.raises(EditError, match=said):
            session.effects(None, CAPTION, 3, {word: new})
    with pytest.raises(EditError, match="only word"):
        session.effects(None, "a", 3, {"a": None})


def test_words_are_exchanged_under_other_edits():
    session = Session("toy", load=lambda name: toy_pipeline())
    bare, edits = session.effects(None, CAPTION, 3), (e.ClampResponseGate.only("image"), Mute("small", "caption"))
    steps = []
    found = session.effects(None, CAPTION, 3, edits=edits, told=lambda done, of: steps.append((done, of)))
    torch.testing.assert_close(found.base[None], session.trace(None, CAPTION, 3, edits).images[-1])
    assert [word.word for word in found.words] == [word for word in CAPTION.split() if word != "small"]
    for name in ("memory_128", "memory_256", "global"):  # no memory answers
        assert max(word.changes[name] for word in found.words) < max(word.changes["memory_128"] for word in bare.words) / 50
    assert steps == [(k, 5) for k in range(1, 6)]
    with pytest.raises(EditError, match="take that edit back"):
        session.effects(None, CAPTION, 3, edits=(Exchange("red", "blue"),))


# --- the trace and the region -------------------------------------------------------------------------------------------------


def test_an_exported_trace_says_its_edits(tmp_path):
    session = Session("toy", load=lambda name: toy_pipeline())
    edits = (Mute("red"), e.ClampResponseGate.only("words", (0.0, 0.0, 0.5, 1.0)))
    session.trace(None, CAPTION, 3, edits).save(tmp_path / "trace.npz")
    assert from_data(Trace.load(tmp_path / "trace.npz").edits) == edits
    assert session.trace(None, CAPTION, 3).edits is None


def test_a_region_says_which_words_it_reads_and_who_answers():
    read = read_region(make_trace(), 1, (0.0, 0.0, 0.5, 0.5))
    assert read.quantity == "addressing" and read.size == 128
    first = read.words[0]
    assert (first.word, first.index, first.inside) == ("yellow", 6, pytest.approx(0.7))
    assert first.lift == pytest.approx(0.7 / ((0.7 + 0.05 + 2 / 7) / 4))
    assert sum(word.inside for word in read.words) == pytest.approx(1)
    assert read.inside["image"] == pytest.approx(0.5 * 31 / 2 / 63) and read.everywhere["image"] == pytest.approx(0.25)
    assert sum(read.inside.values()) == pytest.approx(1)


def test_a_region_of_a_stage_that_reads_no_words_is_refused():
    with pytest.raises(MissingQuantity, match=r"stage 0 \(64 px\) reads no words"):
        read_region(make_trace(), 0, (0, 0, 1, 1))
    with pytest.raises(ValueError, match="shares of the side"):
        read_region(make_trace(), 1, (0, 0, 2, 1))
    ungated = make_trace()
    ungated.stages[1].response_gate = None
    assert read_region(ungated, 1, (0, 0, 1, 1)).inside is None
