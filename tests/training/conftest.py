"""A trainer small enough for tests: eight birds, narrow networks, two steps."""

import pytest

from dmm.config import READ_BY, override
from dmm.recipes import recipe

TOY = {
    "widths": "4,4,4",
    "discriminator_width": "2",
    "noise_dim": "4",
    "condition_dim": "6",
    "text_dim": "16",
    "embedding_dim": "8",
    "encoder_width": "4",
    "encoder_size": "32",
    "caption_embedding": "16",
    "caption_hidden": "8",
    "caption_attention": "0",
    "images": "8",
    "batch": "4",
    "initial_stages": "1",
    "adversarial_start": "0",
    "paired": "0",
    "corrupt_sentence": "0",
    "corrupt_words": "0",
    "ema_captions": "8",
    "steps": "4",
    "log_every": "1",
    "sample_every": "100",
    "save_every": "2",
}

#: Every aid of adversarial training that is not paired training; tests switch off what they do not ask for.
AIDS = {
    "initial_steps": "9000",
    "initial_batch": "16",
    "frozen_steps": "3000",
    "kl": "0.02",
    "key_spread": "1.5",
    "consistency": "60",
    "damsm": "0.3",
    "stream": "0.3",
    "cloze": "2.5",
    "cloze_variants": "3",
    "augment": "1",
    "clip": "0",
    "text_losses_on": "all",
    "generator_lr": "5e-4",
    "beta2": "0.999",
}


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory):
    """One drawn cache for every test of the session."""
    return tmp_path_factory.mktemp("aviary")


@pytest.fixture(scope="session")
def toy(toy_cache):
    """Build a toy config: ``toy("gan", steps=2)``."""

    def build(step: str, **changes):
        name, aids = ("dmmgan-aviary", AIDS) if step == "gan" else ("aviary", {})
        return override(recipe(name, step), {**aids, **TOY, "cache": str(toy_cache), **{k: str(v) for k, v in changes.items()}})

    return build


@pytest.fixture(scope="session")
def earlier_runs(toy_cache, tmp_path_factory):
    """Checkpoints of toy matching and captioning runs: (match, caption)."""
    from dmm.training.loop import run
    from dmm.training.steps import CaptionStep, MatchStep

    directory = tmp_path_factory.mktemp("earlier_runs")
    settings = {**TOY, "cache": str(toy_cache), "steps": "2"}
    match = override(recipe("aviary", "match"), settings)
    run(MatchStep(match), match, directory / "match", say=lambda text: None)
    caption = override(recipe("aviary", "caption"), settings)
    run(CaptionStep(caption, directory / "match"), caption, directory / "caption", say=lambda text: None)
    return directory / "match", directory / "caption"


@pytest.fixture(scope="session")
def toy_options(toy_cache):
    """The toy settings that a step reads (all: each that some step reads), as command-line options: ``toy_options("match", steps=2)``."""

    def build(step: str = "all", **changes):
        settings = {**TOY, "cache": toy_cache, **changes}
        read = {key: value for key, value in settings.items() if step == "all" or step in READ_BY.get(key, (step,))}
        return [part for key, value in read.items() for part in ("--set", f"{key}={value}")]

    return build
