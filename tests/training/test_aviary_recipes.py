"""Every generator of Aviary trains by its recipe through the command line: first stages, then all of them, then discriminators."""

import json
import math

import pytest
from typer.testing import CliRunner

from dmm.cli import app
from dmm.models.registry import picture_sizes
from dmm.pipeline import load
from dmm.recipes import names, recipe

RECIPES = [name for name in names() if "-aviary" in name]
KEPT = ("paired", "corrupt_sentence", "initial_stages")  # of what the toy settings switch off


def options(name: str, toy_options) -> list[str]:
    """A run of three steps, one for each part of the recipe's schedule."""
    gan = recipe(name, "gan").train
    own = {key: getattr(gan, key) for key in KEPT} | {"initial_steps": min(1, gan.initial_steps), "adversarial_start": 2}
    widths = ",".join(("8", "4", "2")[: len(recipe(name).model.widths)])
    return toy_options("gan", steps=3, save_every=3, images=100, noise_dim=96, widths=widths, **own)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_aviary_trains_and_its_model_generates(name, toy_options, earlier_runs, tmp_path):
    match, caption = map(str, earlier_runs)
    command = ["train", "gan", "--recipe", name, "--match", match, "--caption", caption, "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, *options(name, toy_options)])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    settings = recipe(name, "gan").train
    seen = {key for key in rows[-1] if key[0] in "dg" and key[1:].isdigit()}
    sizes = [str(size) for size in picture_sizes(recipe(name).model)]
    assert seen == {side + size for side in "dg" for size in sizes} and not seen & set(rows[1])
    assert all("paired" in row for row in rows)
    assert all(("kl" in row, "stream" in row) == (settings.kl > 0, settings.stream > 0) for row in rows)
    images = load(tmp_path / "run")("a small red bird", seed=3).images
    assert [image.shape[-1] for image in images] == [int(size) for size in sizes]
