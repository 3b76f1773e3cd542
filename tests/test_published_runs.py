"""Every published recipe from a data set on disk to a page, by the commands that a researcher types: match, caption, gan, each resumed,
then generate, evaluate, figures and the page. At toy size; the losses, schedules, encoders and conventions are the recipe's own."""

from __future__ import annotations

import functools
import json
import math

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from dmm.checkpoint import read
from dmm.cli import app
from dmm.config import READ_BY
from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.models import image_encoder
from dmm.models.inception import InceptionEncoder
from dmm.models.registry import list_models, picture_sizes
from dmm.models.resnet import ResNetEncoder
from dmm.pipeline import load
from dmm.recipes import names, recipe, step_names
from explorer.cli import app as explorer
from explorer.figures import list_figures
from explorer.page_answers import generate
from explorer.session import Session
from tests.convert.test_trunks import published_names
from tests.data import layouts
from tests.data.layouts import write

PUBLISHED = [name for name in names() if "cub" in name or "coco" in name]
TOY = {
    "widths": "4,4,4", "discriminator_width": 2, "noise_dim": 4, "condition_dim": 6, "text_dim": 16, "embedding_dim": 8,
    "encoder_width": 4, "encoder_size": 32, "caption_embedding": 16, "caption_hidden": 8, "batch": 2, "log_every": 1, "save_every": 1,
    "sample_every": 0, "ema_captions": 4, "device": "cpu",
}  # fmt: skip
NARROWING = {"stackgan": "8,4,2", "dfgan": "8,4,2"}  # systems whose maps get narrower
CAPTION = "a small red bird"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CUB and COCO with a handful of pictures, prepared."""
    root = tmp_path_factory.mktemp("data")
    made = {"cub": layouts.cub(root / "cub"), "coco": layouts.coco(root / "coco", "2014")}
    write(made["cub"] / "train_test_split.txt", "1 1\n2 0\n3 1\n4 0\n")  # matching tells classes apart: one picture of each
    for folder in made.values():
        prepare(open_source(folder))
    return made


@pytest.fixture(scope="module")
def trunks(tmp_path_factory):
    """Narrow Inception and ResNet encoders in place of the published ones, and a folder with a file of weights for each."""
    folder = tmp_path_factory.mktemp("trunks")
    files = {"InceptionEncoder": "inception_v3_google.pth", "ResNetEncoder": "resnet152.pth"}
    narrow = {
        "InceptionEncoder": functools.partial(InceptionEncoder, width=2),
        "ResNetEncoder": functools.partial(ResNetEncoder, width=2, depths=(1, 1, 1, 1)),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, build in narrow.items():
            torch.manual_seed(11)
            encoder = build(16)
            known = published_names(encoder)
            torch.save({known[key]: value for key, value in encoder.state_dict().items() if key in known}, folder / files[name])
            patch.setattr(image_encoder, name, build)
        yield folder


def settings(name: str, step: str, **changes) -> list[str]:
    """The toy settings that a step reads, as options."""
    system = recipe(name).model.system
    values = TOY | {"widths": NARROWING.get(system, TOY["widths"]), "residuals": min(1, recipe(name).model.residuals)} | changes
    return [word for key, value in values.items() if step in READ_BY.get(key, (step,)) for word in ("--set", f"{key}={value}")]


def dmm(*arguments) -> str:
    """Run a command that has to succeed; its output."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def train(step: str, name: str, data, trunks, folder) -> None:
    """A run of one step, gone on with to two; refused without the trunk it needs, in a dry run too."""
    source = data["coco" if name.endswith("coco") else "cub"]
    earlier = {"match": [], "caption": ["--match", folder / "match"], "gan": ["--match", folder / "match", "--caption", folder / "caption"]}
    where = ["train", step, "--recipe", name, "--out", folder / step, *earlier[step]]
    model = recipe(name).model
    frozen = {"match": model.image_encoder != "small", "caption": model.caption_encoder != "small", "gan": False}[step]
    given = ["--set", f"trunk={trunks}"] if frozen else []
    if frozen:
        options = [*where, *settings(name, step, source=source, steps=1), "--dry-run"]
        refused = CliRunner().invoke(app, [str(option) for option in options])
        assert refused.exit_code == 2 and "is frozen and has to come trained on ImageNet" in refused.output
    dmm(*where, *settings(name, step, source=source, steps=1), *given)
    said = dmm(*where, *settings(name, step, source=source, steps=2), "--resume")
    later = {"match": "caption" if "caption" in step_names(name) else "gan", "caption": "gan"}.get(step)
    assert later is None or f"next: dmm train {later} --match {folder / 'match'}" in said
    rows = [json.loads(line) for line in (folder / step / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert read(folder / step)[3]["steps"] == 2


@pytest.fixture(scope="module")
def encoders(data, trunks, tmp_path_factory):
    """Recipe -> a folder with its matching and its captioning run, which are made once."""

    @functools.cache
    def made(name: str):
        folder = tmp_path_factory.mktemp(name)
        for step in ("match", "caption"):
            train(step, name, data, trunks, folder)
        return folder

    return made


def figures(system: str, model, out) -> set[str]:
    """Draw every figure of captions; the names of those that the system has the quantities for."""
    drawn = set()
    for figure in list_figures():
        if figure.shows != "captions":
            continue
        option = next(o for o in figure.options if o.makes == "trace" and o.kind in ("captions", "text"))
        flags = ["--caption" if option.kind == "captions" else f"--{option.name}", CAPTION]
        answer = CliRunner().invoke(explorer, ["figures", figure.name, "--model", str(model), "--out", str(out), *flags])
        if answer.exit_code == 0:
            drawn.add(figure.name)
            Image.open(out / f"{figure.name}.png").verify()
        else:
            assert answer.exit_code == 2 and answer.output.startswith("explorer: "), (system, figure.name, answer.output)
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_from_data_to_page(name, data, trunks, encoders, tmp_path):
    folder = encoders(name)
    train("gan", name, data, trunks, folder)
    model, config = folder / "gan", recipe(name, "gan")
    weights, match = read(model)[0], read(folder / "match")[0]
    if config.model.image_encoder == "inception":  # the trunk went through all three runs unchanged
        trunk = torch.load(trunks / "inception_v3_google.pth", weights_only=True)["Conv2d_1a_3x3.conv.weight"]
        for found in (match, weights):
            torch.testing.assert_close(found["image_encoder.stem.0.conv.weight"], trunk, atol=1e-3, rtol=1e-3)
    if config.model.caption_encoder == "resnet":
        trunk = torch.load(trunks / "resnet152.pth", weights_only=True)["conv1.weight"]
        torch.testing.assert_close(read(folder / "caption")[0]["captioner.encoder.stem.0.weight"], trunk)

    pipe = load(model)
    sizes = list(picture_sizes(config.model))
    assert [image.shape[-1] for image in pipe(CAPTION, seed=3).images] == sizes and pipe.captioner is not None

    said = dmm("generate", CAPTION, "--model", model, "--out", tmp_path / "pictures", "--trace")
    assert sorted(p.name for p in (tmp_path / "pictures").glob("*.png")) == sorted(f"00-{size}.png" for size in sizes)
    assert CAPTION in said and (tmp_path / "pictures/trace.npz").is_file()

    result = json.loads(dmm("evaluate", model, "--captions", 4, "--metrics", "attributes,r_precision"))
    assert result["n"] == 4 and set(result["metrics"]) == {"attributes", "r_precision"}

    session = Session([str(model)])
    html = generate(session, CAPTION, 3, None)
    assert html.count('class="ex-image"') == len(sizes)


@pytest.fixture(scope="module")
def listed() -> set[str]:
    """The systems that `dmm list` names."""
    return set(json.loads(dmm("list", "--json"))["systems"])


@pytest.mark.slow
@pytest.mark.parametrize("system", [entry.name for entry in list_models()])
def test_a_registered_system_is_listed_trained_and_drawn(system, listed, data, encoders, tmp_path):
    """The whole command line and every figure, for each system of the registry."""
    name = f"{system}-cub"
    assert system in listed
    earlier = ["--match", encoders(name) / "match", "--caption", encoders(name) / "caption"]
    options = settings(name, "gan", source=data["cub"], steps=2)
    said = dmm("train", "gan", "--recipe", name, "--out", tmp_path / "gan", *earlier, *options, "--dry-run")
    assert "generator: " in said and "would write to" in said and not (tmp_path / "gan").exists()
    dmm("train", "gan", "--recipe", name, "--out", tmp_path / "gan", *earlier, *options)
    drawn = figures(system, tmp_path / "gan", tmp_path / "figures")
    assert "dmgan-fig4" in drawn
    trace = load(tmp_path / "gan")(CAPTION, seed=3)

    def absent(quantity: str) -> bool:
        return all(getattr(stage, quantity) is None for stage in trace.stages)

    for figure in list_figures():
        if figure.shows == "captions" and figure.name in drawn:
            assert all(any(getattr(stage, need) is not None for stage in trace.stages) for need in figure.needs), figure.name
        elif figure.shows == "captions":
            assert any(absent(need) for need in figure.needs) or figure.reads and all(map(absent, figure.reads)), figure.name
