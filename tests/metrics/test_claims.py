"""True and false claims by hand, and the captions themselves, which say nothing untrue."""

import dataclasses
import json

import pytest
import torch
from typer.testing import CliRunner

from dmm.aviary.grammar import AVIARY_VOCABULARY, captions, read_slots
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURED_PARTS, COLOURS
from dmm.checkpoint import build, write
from dmm.cli import app
from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.metrics.attributes import PARTS
from dmm.metrics.bootstrap import ratio_interval
from dmm.metrics.claims import Claim, claims_of_bird, claims_of_caption, claims_of_judge, share_true, summary
from dmm.models.captioner import Captioner


@pytest.fixture
def robin():
    """Brown, with a red breast and throat, black and white wings, a black eyering, white spots on its belly."""
    colours = dict.fromkeys(COLOURED_PARTS, ("brown",)) | {"breast": ("red",), "throat": ("red",), "wing": ("black", "white")}
    return dataclasses.replace(bird(0), colours=colours, marks={"eyering": "black"}, pattern_colours={"belly": "white"})


@pytest.mark.parametrize(
    ("sentence", "true"),
    [
        ("this bird has a red breast", [True]),
        ("this bird has a red breast and a red belly", [True, False]),
        ("this bird has black and white wings", [True, True]),
        ("this bird has black and grey wings", [True, False]),
        ("this bird has a brown head", [True]),
        ("this is a brown bird", [True]),
        ("this is a red bird", [False]),  # red is in sight, but not what it is called by
        ("this bird is brown and red in color", [True, True]),
        ("this bird is brown and blue in color", [True, False]),
        ("this bird has a black eyering", [True]),
        ("this bird has a white eyebrow", [False]),  # it has none
        ("this bird has white spots on its belly", [True]),
        ("this bird has white spots on its breast", [False]),
        ("this small bird has a short bill", []),
        ("", []),
    ],
)
def test_claims_of_a_bird_by_hand(robin, sentence, true):
    assert [claim.true for claim in claims_of_bird(read_slots(sentence), robin)] == true


def test_a_head_has_the_colours_that_its_parts_share(robin):
    capped = dataclasses.replace(robin, colours=robin.colours | {"crown": ("red",)})
    slots = read_slots("this bird has a brown head")
    assert [claims_of_bird(slots, b)[0].true for b in (robin, capped)] == [True, False]


@pytest.mark.parametrize("level", ["garden", "world"])
def test_captions_say_nothing_untrue(level):
    birds = [bird(i, 0, level, "test") for i in range(60)]
    told = [claims_of_bird(caption.slots, b) for b in birds for caption in captions(b)]
    assert sum(map(len, told)) > 1000 and all(claim.true for claims in told for claim in claims)


def test_claims_of_other_birds_are_mostly_untrue():
    birds = [bird(i, 0, "garden", "test") for i in range(200)]
    told = [claims_of_bird(captions(b)[0].slots, birds[(i + 97) % 200]) for i, b in enumerate(birds)]
    assert 0.05 < share_true(told)["true"] < 0.4


def test_a_caption_settles_what_it_names():
    told = claims_of_caption({"wing": ("grey", "red"), "tail": ("blue",), "size": ("small",)}, {"wing": ("grey",), "belly": ("red",)})
    assert told == [Claim("wing", "grey", True), Claim("wing", "red", False), Claim("tail", "blue", None)]


def test_the_judge_settles_seven_parts():
    logits = {part: torch.zeros(len(COLOURS)) for part in PARTS}
    logits["wing"][COLOURS.index("black")], logits["wing"][COLOURS.index("white")] = 2, 1
    for said, true in (("black", [True]), ("white", [False]), ("black and white", [True, True]), ("white and red", [True, False])):
        claims = claims_of_judge(read_slots(f"this bird has {said} wings and a red eye"), logits)
        assert sorted(claim.true for claim in claims) == sorted(true)


def test_shares_and_counts():
    sentences = [[Claim("wing", "red", True), Claim("tail", "red", False)], [Claim("body", "blue", True), Claim("eye", "red", None)], []]
    found = summary(sentences)
    assert found["all"]["true"] == pytest.approx(2 / 3) and (found["all"]["claims"], found["all"]["unknown"]) == (3, 1)
    assert found["parts"]["true"] == 0.5 and found["parts"]["claims"] == 2
    assert found["claims_a_sentence"] == found["slots_a_sentence"] == pytest.approx(4 / 3) and found["sentences"] == 3
    assert found["slots"]["wing"] == {"true": 1.0, "claims": 1} and found["slots"]["eye"] == {"true": None, "claims": 0}
    assert share_true([[], []]) == {"true": None, "interval_95": None, "claims": 0, "unknown": 0}
    assert summary([])["claims_a_sentence"] == 0


def test_the_interval_holds_the_share_and_narrows():
    def width(count: int) -> float:
        low, high = ratio_interval((torch.arange(count) % 4 > 0).float(), torch.ones(count))
        assert low <= 0.75 <= high
        return high - low

    assert 0.015 < width(2000) < width(100) < 0.25
    assert ratio_interval(torch.ones(9), torch.ones(9)) == [1, 1] and ratio_interval(torch.zeros(3), torch.zeros(3)) is None


def test_a_captioning_run_is_measured_on_rendered_birds_alone(tmp_path, monkeypatch):
    """A captioner that always says the same: what is true of twelve birds can be counted."""
    monkeypatch.chdir(tmp_path)
    vocab = Vocabulary(AVIARY_VOCABULARY())
    config = ModelConfig(encoder_width=2, encoder_size=32, caption_embedding=4, caption_hidden=4)
    captioner = build("captioner", config, vocab)
    write("run", {"captioner": captioner}, config, vocab, {})
    monkeypatch.setattr(Captioner, "sentences", lambda self, images, vocab: ["a bird with a white belly and red wings"] * len(images))
    result = CliRunner().invoke(app, ["evaluate", "run", "--captions", "12", "--metrics", "claims", "--out", "claims.json"])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "claims.json").read_text())
    figures, birds = found["metrics"]["claims"]["by_size"]["64"], [bird(i, 0, "garden", "test") for i in range(12)]
    true = sum(("white" in b.colours["belly"]) + ("red" in b.colours["wing"]) for b in birds)
    assert figures["rendered"]["parts"]["true"] == pytest.approx(true / 24, abs=1e-4) and figures["rendered"]["parts"]["claims"] == 24
    assert (figures["rendered"]["claims_a_sentence"], figures["rendered"]["distinct_sentences"], found["n"]) == (2, 1, 12)
    assert CliRunner().invoke(app, ["evaluate", "run", "--metrics", "fid"]).exit_code == 2
    unread = CliRunner().invoke(app, ["evaluate", "run", "--metrics", "claims", "--judge", "mine"])
    assert unread.exit_code == 2 and "--judge: has no effect with --metrics claims of a captioning run" in unread.output
