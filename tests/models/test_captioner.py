"""Beam search of the decoder, against every sentence that there is at toy size."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from dmm.models.captioner import CaptionDecoder

TOKENS, END, STEPS = 4, 1, 3


@pytest.fixture(params=[0, 2], ids=["plain", "attends"])
def decoder(request) -> CaptionDecoder:
    torch.manual_seed(3)
    decoder = CaptionDecoder(TOKENS, embedding=6, hidden=5, heads=request.param)
    torch.nn.init.normal_(decoder.linear.weight, std=2.0)
    return decoder.eval()


@pytest.fixture
def picture() -> dict:
    torch.manual_seed(4)
    return {"features": torch.randn(1, 6), "regions": torch.randn(1, 6, 8, 8)}


def every_sentence(decoder: CaptionDecoder, picture: dict) -> dict[tuple[int, ...], list[float]]:
    """Tokens up to the end token or the longest length -> the probability of each, by teacher forcing."""
    found = {}
    for ids in itertools.product(range(TOKENS), repeat=STEPS):
        with torch.no_grad():
            logits = decoder(picture["features"], torch.tensor([ids]), torch.tensor([STEPS]), picture["regions"])
        shares = logits[0].softmax(1)[range(STEPS), ids].tolist()
        length = ids.index(END) + 1 if END in ids else STEPS
        found[ids[:length]] = shares[:length]
    return found


def test_a_wide_beam_finds_the_likeliest_of_all_sentences(decoder, picture):
    known = every_sentence(decoder, picture)
    best = sorted(known, key=lambda ids: -math.prod(known[ids]))
    found = decoder.beam(picture["features"], END, width=TOKENS**STEPS, steps=STEPS, regions=picture["regions"])
    assert [tuple(token for token, _ in said) for said in found] == best
    for said in found:
        assert [share for _, share in said] == pytest.approx(known[tuple(token for token, _ in said)], rel=1e-5)
    assert math.fsum(math.prod(share for _, share in said) for said in found) == pytest.approx(1, abs=1e-5)


def test_a_beam_of_one_is_the_greedy_sentence(decoder, picture):
    ((*said,),) = decoder.beam(picture["features"], END, width=1, steps=12, regions=picture["regions"])
    greedy = decoder.greedy(picture["features"], 12, picture["regions"])[0].tolist()
    assert [token for token, _ in said] == greedy[: len(said)] and (len(said) == 12 or said[-1][0] == END)


def test_a_beam_of_none_is_refused(decoder, picture):
    with pytest.raises(ValueError, match="1 or more"):
        decoder.beam(picture["features"], END, width=0, regions=picture["regions"])
