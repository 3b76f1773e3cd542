"""Edits change what they name and nothing else, and leave no hook behind."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from explorer import statistics
from explorer.edits import (
    ClampResponseGate,
    ClampWritingGate,
    DropGlobal,
    EditError,
    Exchange,
    FreezeNoise,
    Mute,
    UniformAddressing,
    attached,
    changes_reading,
)
from explorer.session import Session
from tests.explorer.toy import CAPTION, toy_pipeline


@pytest.fixture(scope="module")
def pipe():
    return toy_pipeline()


def tensors(trace) -> dict[str, Tensor]:
    records = {"": trace} | {f"{i}.": stage for i, stage in enumerate(trace.stages)}
    fields = {p + f.name: getattr(r, f.name) for p, r in records.items() for f in dataclasses.fields(r)}
    return {name: value for name, value in fields.items() if isinstance(value, Tensor)}


def same(one, other) -> bool:
    one, other = tensors(one), tensors(other)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def hooks(pipe) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in pipe.modules())


def test_the_trace_is_bit_equal_with_and_without_the_explorer(pipe):
    bare = pipe(CAPTION, seed=3)
    session = Session("toy", load=lambda name: pipe)
    assert same(bare, session.trace("toy", CAPTION, 3))
    edited = session.trace("toy", CAPTION, 3, edits=(Mute("red"),))
    assert not same(bare, edited)
    with attached(pipe):
        assert same(bare, pipe(CAPTION, seed=3))
    assert same(bare, pipe(CAPTION, seed=3))
    assert hooks(pipe) == 0


def test_words_align_with_the_trace(pipe):
    trace = pipe(CAPTION, seed=3)
    assert [c.word for c in statistics.chips(trace, 1)] == CAPTION.split()
    assert sum(c.value for c in statistics.chips(trace, 2, "addressing")) == pytest.approx(1, abs=1e-5)


def test_a_muted_word_is_not_read_and_the_others_share(pipe):
    bare = pipe(CAPTION, seed=3)
    with attached(pipe, Mute("a"), caption=CAPTION):
        trace = pipe(CAPTION, seed=3)
    chips = statistics.chips(trace, 1, "addressing")
    assert [c.value for c in chips if c.word == "a"] == [0, 0]
    assert sum(c.value for c in chips) == pytest.approx(1, abs=1e-5)
    kept = [c.index for c in chips if c.word != "a"]
    before = bare.stages[1].addressing[:, kept]
    torch.testing.assert_close(trace.stages[1].addressing[:, kept], before / before.sum(1, keepdim=True))
    assert torch.equal(trace.stages[0].image, bare.stages[0].image)
    assert torch.equal(trace.mask, bare.mask)


def test_muting_one_stage_leaves_the_other(pipe):
    bare = pipe(CAPTION, seed=3)
    with attached(pipe, Mute("red", stages=(2,)), caption=CAPTION):
        trace = pipe(CAPTION, seed=3)
    assert torch.equal(trace.stages[1].image, bare.stages[1].image)
    assert not torch.equal(trace.stages[2].image, bare.stages[2].image)


def test_clamped_writing_gate_writes_the_picture_alone(pipe):
    with attached(pipe, ClampWritingGate(0.0)):
        trace = pipe(CAPTION, seed=3)
    memory = trace.stages[1].memory  # B 2C T: without the words every slot is the picture
    torch.testing.assert_close(memory, memory[:, :, :1].expand_as(memory))
    with attached(pipe, ClampWritingGate(1.0, word="red"), caption=CAPTION):
        gates = statistics.chips(pipe(CAPTION, seed=3), 1)
    assert [c.value == 1 for c in gates] == [c.word == "red" for c in gates]


def test_clamped_response_gate(pipe):
    with attached(pipe, ClampResponseGate(image=0.25, words=0.75)):
        trace = pipe(CAPTION, seed=3)
    assert statistics.response_shares(trace, 2) == pytest.approx({"image": 0.25, "words": 0.75, "global": 0})


def test_dropping_the_global_path_keeps_the_proportion_of_the_rest(pipe):
    bare = statistics.response_maps(pipe(CAPTION, seed=3), 1)
    with attached(pipe, DropGlobal()):
        maps = statistics.response_maps(pipe(CAPTION, seed=3), 1)
    assert maps["global"].max() == 0
    torch.testing.assert_close(torch.tensor(maps["image"]), torch.tensor(bare["image"] / (bare["image"] + bare["words"])))


def test_hooks_are_removed_when_generating_fails(pipe):
    with pytest.raises(RuntimeError, match="stop"), attached(pipe, Mute(1), DropGlobal(), ClampWritingGate(0.5)):
        assert hooks(pipe) == 6
        raise RuntimeError("stop")
    with pytest.raises(EditError, match="not among"), attached(pipe, DropGlobal(), Mute("zeppelin"), caption=CAPTION):
        pass
    assert hooks(pipe) == 0


def test_which_edits_change_what_is_read():
    assert changes_reading(Exchange("red", "blue")) and changes_reading(Mute("red", "global"))
    assert not any(map(changes_reading, (Mute("red"), Mute("red", "caption"), DropGlobal(), FreezeNoise())))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ClampWritingGate(1.5), "between 0 and 1"),
        (lambda: ClampResponseGate(0.5, 0.6), "add up to 1"),
        (lambda: ClampResponseGate.only(["words"]), "one of image, words, global"),
        (lambda: FreezeNoise(["z"]), "one of z, eps"),
        (lambda: FreezeNoise({"z": 1}), "one of z, eps"),
        (lambda: Mute("red", where=["memory"]), "where: expected one of memory"),
        (lambda: Exchange("red", "blue", where={}), "where: expected one of memory"),
        (lambda: Exchange(["red"], "blue"), "word: expected a word"),
        (lambda: Mute("red", stages=(0,)), r"from 1, such as \(1, 2\)"),
        (lambda: Exchange("red", "blue", stages=(1, -1)), "from 1"),
        (lambda: ClampWritingGate(0.5, stages=(0,)), "from 1"),
        (lambda: ClampResponseGate(1.0, 0.0, stages=(0,)), "from 1"),
        (lambda: DropGlobal(stages=(0,)), "from 1"),
        (lambda: UniformAddressing(stages=[1]), "from 1"),
    ],
)
def test_impossible_values_are_refused(make, said):
    with pytest.raises(EditError, match=said):
        make()


def test_impossible_places_are_refused(pipe):
    with pytest.raises(EditError, match="1 to 2"), attached(pipe, DropGlobal(stages=(3,))):
        pass
    with pytest.raises(EditError, match="which caption"), attached(pipe, Mute("red")):
        pass
    with pytest.raises(EditError, match="no word to read"), attached(pipe, Mute("red"), caption="red"):
        pipe("red")
    with pytest.raises(EditError, match="outside"), attached(pipe, Mute(40)):
        pipe("red")


def test_dmgan_has_no_global_memory():
    pipe = toy_pipeline(global_memory=False)
    with pytest.raises(EditError, match="no global memory"), attached(pipe, DropGlobal()):
        pass
    with attached(pipe, ClampResponseGate(image=1, words=0)):
        assert statistics.response_shares(pipe(CAPTION), 1) == {"image": 1, "words": 0}
    with pytest.raises(EditError, match="no global memory"), attached(pipe, ClampResponseGate(0.5, 0.25, 0.25)):
        pipe(CAPTION)
