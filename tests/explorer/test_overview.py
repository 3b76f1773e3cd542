"""The drawing of the network: a box for each part that a system has, none for one that it has not, numbers of the trace."""

from __future__ import annotations

import pytest
from torch import nn

from dmm.models.registry import list_models
from explorer import overview, statistics
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system

BOXES = {
    "dmmgan": ["Text encoder", "Sentence code", "Picture 64", "Memory 128", "Memory 256"],
    "dmgan": ["Text encoder", "Sentence code", "Picture 64", "Memory 128", "Memory 256"],
    "attngan": ["Text encoder", "Sentence code", "Picture 64", "Attention 128", "Attention 256"],
    "mirrorgan": ["Text encoder", "Sentence code", "Picture 64", "Attention 128", "Attention 256"],
    "stackgan": ["Text encoder", "Sentence code", "Picture 64", "Joining 128", "Joining 256"],
    "stackgan-v1": ["Text encoder", "Sentence code", "Picture 64", "Joining 256"],
    "gan-int-cls": ["Text encoder", "Picture 64"],
    "dfgan": ["Text encoder", "Picture 256"],
}
EQUATIONS = {
    "dmmgan": ["Eq. 7", "Eq. 8", "Eq. 4", "Eq. 5", "by name (DMM-GAN)", "Eq. 9"],
    "dmgan": ["Eq. 7", "Eq. 8", "Eq. 4", "Eq. 5", "Eq. 9"],
    "attngan": ["AttnGAN, Eq. 2", "AttnGAN, Eq. 2", "AttnGAN, Eq. 2"],
    "mirrorgan": ["AttnGAN, Eq. 2", "AttnGAN, Eq. 2", "AttnGAN, Eq. 2", "by name (MirrorGAN)"],
    "stackgan": ["by name (StackGAN and StackGAN++)"],
    "stackgan-v1": ["by name (StackGAN and StackGAN++)"],
}


@pytest.mark.parametrize("system", sorted(BOXES))
def test_every_system_is_drawn_from_its_own_parts(system):
    pipe = toy_system(system)
    trace = pipe(CAPTION, seed=3)
    found = overview.parts(pipe, trace)
    assert [part.title for part in found] == BOXES[system]
    if system in EQUATIONS:
        equations = [piece.equation.partition(":")[0] for piece in found[-1].pieces]
        assert equations == EQUATIONS[system]
    lacking = overview.missing(pipe, trace)
    assert ("a global memory" in lacking) == (system != "dmmgan") and "a captioner (STREAM)" in lacking
    assert ("a writing gate" in lacking) == (system not in ("dmmgan", "dmgan"))
    html = overview.render(found, lacking)
    assert html.count('class="ex-part"') == html.count('class="ex-more"') == len(found)
    assert f"This system does not have {', '.join(lacking)}." in html


@pytest.mark.parametrize("system", [entry.name for entry in list_models()])
def test_registered_systems_can_be_drawn(system):
    pipe = toy_system(system)
    assert len(overview.parts(pipe, pipe(CAPTION, seed=3))) >= 2


def test_numbers_are_those_of_the_trace():
    pipe = toy_pipeline()
    trace = pipe(CAPTION, seed=3)
    memory = overview.parts(pipe, trace)[-1]
    numbers = {piece.name: piece.number for piece in memory.pieces}
    shares = statistics.response_shares(trace, 2)
    assert numbers["response gate"] == ", ".join(f"{name} {statistics.short(share)}" for name, share in shares.items())
    assert memory.number == f"words {statistics.short(shares['words'])}, global {statistics.short(shares['global'])}"
    most = statistics.top_words(trace, 2, k=1)[0]
    assert f"largest {statistics.short(most.value)} for “{most.word}”" in numbers["writing gate"]
    assert numbers["gated memory writing"] == f"8 slots of {trace.stages[2].memory.shape[1]} numbers"


def test_a_part_that_is_taken_away_is_not_drawn():
    pipe = toy_pipeline()
    trace = pipe(CAPTION, seed=3)
    pipe.generator.refinements[1].writing_gate = nn.Identity()  # another module in its place is not called by the name of the first
    names = [piece.name for piece in overview.parts(pipe, trace)[-1].pieces]
    assert "writing gate" not in names and "key addressing" in names
