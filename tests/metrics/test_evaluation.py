"""The judge, the one pass over the pictures, and the whole evaluation at toy size."""

import json

import pytest
import torch
from torch import nn

from dmm.aviary.cache import AviaryCache
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURS
from dmm.checkpoint import CheckpointError
from dmm.metrics import evaluate, list_metrics
from dmm.metrics.attributes import PARTS
from dmm.metrics.evaluation import METRICS, shuffled
from dmm.metrics.features import Collection
from dmm.metrics.judge import HEADS, Judge, augment, examine, load_judge, resize, targets, train_judge
from dmm.metrics.measuring import Settings
from dmm.metrics.records import digest
from dmm.metrics.registry import get_metric, register_metric
from dmm.pipeline import load
from dmm.trace import StageTrace, Trace


class ToyPipeline(nn.Module):
    """Generates the sum of a sentence's letters as a grey, says one sentence of every picture."""

    name, vocab, device = "toy", None, torch.device("cpu")
    card = {"seed": 7}

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "captioner", self)  # no submodule of itself
        self.generated = 0

    def forward(self, captions, seed=0, redescribe=True):
        captions = [captions] if isinstance(captions, str) else captions
        self.generated += len(captions)
        grey = torch.tensor([sum(map(ord, text)) % 97 / 97 for text in captions])[:, None, None, None]
        return Trace(stages=[StageTrace(image=grey.expand(-1, 3, size, size)) for size in (16, 32)], captions=list(captions))

    def fused(self):
        return self

    def encode(self, captions):
        return None, torch.tensor([[sum(map(ord, text)) % 97 / 97, 1.0] for text in captions]), None, None

    def image_encoder(self, images):
        return None, torch.stack([images.mean((1, 2, 3)), torch.ones(len(images))], 1)

    def sentences(self, images, vocab):
        return ["this small bird has a red belly"] * len(images)


@pytest.fixture
def judge(tmp_path):
    torch.manual_seed(0)
    Judge(width=4, part_width=3, input_size=32).save(tmp_path, {"unseen_species": {"images": 0}})
    return tmp_path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Twenty-four rendered birds, drawn once for this file."""
    root = tmp_path_factory.mktemp("aviary")
    AviaryCache.open(root, 24, 0, "garden", "test", (16, 32, 256), progress=False)
    AviaryCache.open(root, 4, 0, "garden", "train", (16,), progress=False)
    return root


def test_judge_reads_any_size_and_comes_back_from_disk(judge):
    network = load_judge(judge)
    for size in (16, 32, 64):
        read = network(torch.rand(2, 3, size, size) * 2 - 1)
        assert read["features"].shape == (2, 3 * len(HEADS))
        assert {name: tuple(v.shape) for name, v in read["logits"].items()} == {name: (2, len(a)) for name, a in HEADS.items()}


def test_judge_that_is_not_there_or_damaged(tmp_path):
    with pytest.raises(CheckpointError, match="dmm train judge"):
        load_judge(tmp_path)
    (tmp_path / "judge.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="damaged"):
        load_judge(tmp_path)


def test_targets_share_two_colours():
    birds = [bird(i) for i in range(20)]
    truth = targets(birds)
    for part in ("wing", "crown"):
        assert torch.allclose(truth[part].sum(1), torch.ones(20))
        for row, one in zip(truth[part], birds, strict=True):
            assert HEADS[part][row.argmax()] == one.colours[part][0]
            assert int((row > 0).sum()) == len(set(one.colours[part]))


def test_augmentation_keeps_range_and_repeats():
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    once = augment(images, torch.Generator().manual_seed(0))
    assert once.shape == images.shape and once.abs().max() <= 1
    assert torch.equal(once, augment(images, torch.Generator().manual_seed(0)))
    assert not torch.equal(once, images)


def test_shrinking_is_antialiased():
    stripes = torch.tensor([-1.0, 1.0]).repeat(32).expand(1, 3, 64, 64)
    assert resize(stripes, 16)[..., 2:-2, 2:-2].abs().max() < 0.05


def test_one_pass_joins_tensors_dicts_and_lists():
    calls = []

    def extractor(images):
        calls.append(len(images))
        return {"a": images.mean((1, 2, 3)), "b": {"c": images[:, 0, 0]}}

    batches = [{4: torch.full((n, 3, 4, 4), float(n))} for n in (2, 1)]
    collection = Collection({("r", 4): extractor, ("words", 4): lambda images: ["x"] * len(images)})
    for batch in batches:
        collection.add(batch)
    read = collection.features()
    assert calls == [2, 1]
    assert read["r"][4]["a"].tolist() == [2, 2, 1] and read["r"][4]["b"]["c"].shape == (3, 4)
    assert read["words"][4] == ["x"] * 3


def test_shuffle_leaves_every_species():
    classes = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    order = shuffled(classes, 3)
    assert sorted(order.tolist()) == list(range(10))
    assert not (classes[order] == classes).any()
    with pytest.raises(ValueError, match="more captions"):
        shuffled(torch.tensor([0, 0, 1]), 0)


def test_registry():
    assert set(METRICS) <= set(list_metrics())
    with pytest.raises(ValueError, match="did you mean 'attributes'"):
        get_metric("atributes")
    with pytest.raises(ValueError, match="twice"):
        register_metric("fid", needs=())(lambda evaluation: {})


def test_evaluate_generates_once_and_is_json(judge, cache, tmp_path):
    pipe = ToyPipeline()
    result = evaluate(pipe, captions=12, seed=5, batch=5, judge=judge, cache=cache, sheet=tmp_path / "sheet.png", progress=False)
    assert result["train_seed"] == 7
    assert json.loads(json.dumps(result)) == result
    assert pipe.generated == 12 + 1  # one more to learn the sizes
    assert (result["n"], result["seed"], set(result["metrics"])) == (12, 5, set(METRICS))
    for score in result["metrics"].values():
        assert score["protocol"]
    assert set(result["metrics"]["caption_f1"]["by_size"]) == {"16", "32"}
    assert set(result["metrics"]["attributes"]["by_size"]) == {"16"}
    assert result["metrics"]["fid"]["ceiling_rendered"]["distance"] < result["metrics"]["fid"]["generated"]["distance"]
    assert (tmp_path / "sheet.png").stat().st_size > 0
    again = evaluate(ToyPipeline(), captions=12, seed=5, batch=12, judge=judge, cache=cache, progress=False)
    assert again["metrics"]["attributes"] == result["metrics"]["attributes"]


class Stopped(Exception):
    """As if the process had been killed."""


def killed_after(pictures):
    """A pipeline that breaks off after so many pictures."""

    class Breaking(ToyPipeline):
        def forward(self, captions, seed=0, redescribe=True):
            if self.generated >= pictures:
                raise Stopped
            return super().forward(captions, seed, redescribe)

    return Breaking()


@pytest.mark.parametrize("pictures", [3, 6, 11])
def test_an_evaluation_that_was_killed_goes_on_to_an_equal_record(pictures, judge, cache, tmp_path):
    names = ("attributes", "fid", "kid", "r_precision", "caption_f1")
    options = {"captions": 12, "seed": 5, "batch": 2, "judge": judge, "cache": cache, "metrics": names, "progress": False}
    whole = evaluate(ToyPipeline(), **options, sheet=tmp_path / "whole.png")
    part = {"state": tmp_path / "record.json.part", "save_every": 4, "sheet": tmp_path / "part.png"}
    with pytest.raises(Stopped):
        evaluate(killed_after(pictures), **options, **part)
    written = (tmp_path / "record.json.part").exists()
    assert written == (pictures > 4)
    pipe = ToyPipeline()
    found = evaluate(pipe, **options, **part)
    assert found | {"seconds": 0} == whole | {"seconds": 0}
    assert (tmp_path / "part.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert pipe.generated == 1 + 12 - (pictures - 1) // 4 * 4  # one to learn the sizes, and those that were not yet written
    done = ToyPipeline()
    assert evaluate(done, **options, **part) | {"seconds": 0} == whole | {"seconds": 0} and done.generated == 1


def test_the_state_of_another_evaluation_is_refused(judge, cache, tmp_path):
    options = {"batch": 2, "judge": judge, "cache": cache, "metrics": ("attributes",), "progress": False, "state": tmp_path / "a.part"}
    evaluate(ToyPipeline(), captions=12, **options)
    with pytest.raises(ValueError, match="a.part: belongs to another evaluation: captions is 12, expected 10; delete .*a.part"):
        evaluate(ToyPipeline(), captions=10, **options)
    whole = torch.load(tmp_path / "a.part", weights_only=True)
    of_sets = [{"figures": {}, "sets": dict.fromkeys(whole["sets"], wrong)} for wrong in (3, (-1, {}), (2, None))]
    for ruined in ({"sets": []}, {"figures": {"attributes": 1}}, {"seconds": float("nan")}, *of_sets):
        torch.save(whole | ruined, tmp_path / "a.part")
        with pytest.raises(ValueError, match="a.part: expected the state of an evaluation, found a damaged file"):
            evaluate(ToyPipeline(), captions=12, **options)
    (tmp_path / "a.part").write_bytes(b"not a state")
    with pytest.raises(ValueError, match="a.part: expected the state of an evaluation, found a damaged file"):
        evaluate(ToyPipeline(), captions=12, **options)


def test_features_of_another_network(judge, cache):
    """A network of the user's own: it is named, hashed, and compared by; without logits it cannot classify."""
    options = {"captions": 12, "judge": judge, "cache": cache, "progress": False, "features": "tests.metrics.test_feature_networks:MEANS"}
    found = evaluate(ToyPipeline(), metrics=("fid", "kid", "attributes"), **options)["metrics"]
    assert found["fid"]["feature_network"]["name"] == "tests.metrics.test_feature_networks:MEANS"
    assert (
        "the features of tests.metrics.test_feature_networks:MEANS" in found["fid"]["protocol"]
        and found["fid"]["generated"]["distance"] > 0
    )
    by_judge = evaluate(ToyPipeline(), metrics=("fid", "attributes"), **options | {"features": "judge"})["metrics"]
    assert by_judge["attributes"] == found["attributes"] and by_judge["fid"]["generated"] != found["fid"]["generated"]
    assert "feature_network" not in by_judge["fid"]
    with pytest.raises(ValueError, match="inception_score: tests.metrics.test_feature_networks:MEANS gives features and no logits"):
        evaluate(ToyPipeline(), metrics=("inception_score",), **options)
    options["features"] = "tests.metrics.test_feature_networks:Classifier"
    assert 1 <= evaluate(ToyPipeline(), metrics=("inception_score",), **options)["metrics"]["inception_score"]["generated"]["mean"] <= 3


def test_the_metrics_that_are_asked_for_by_name(judge, cache):
    names = ("kid", "inception_score", "caption_overlap")
    found = evaluate(ToyPipeline(), captions=12, judge=judge, cache=cache, metrics=names, progress=False)["metrics"]
    assert set(found) == set(names) and all(figures["protocol"] for figures in found.values())
    assert found["kid"]["generated"]["interval_95"][0] <= found["kid"]["generated"]["distance"]
    assert 1 <= found["inception_score"]["generated"]["mean"] <= 11
    assert found["caption_overlap"]["generated"]["cider"] >= 0 and 0 <= found["caption_overlap"]["ceiling_rendered"]["bleu4"] <= 1


def test_evaluate_says_which_network_is_missing(judge, cache):
    pipe = ToyPipeline()
    pipe.captioner = None
    with pytest.raises(
        ValueError,
        match="toy lacks a network: caption_f1 needs a captioner .*--captioner NAME.*; claims .*. Go on with --metrics attributes",
    ):
        evaluate(pipe, captions=12, judge=judge, cache=cache, progress=False)
    assert set(evaluate(pipe, captions=12, judge=judge, cache=cache, metrics=("attributes",), progress=False)["metrics"]) == {"attributes"}


def test_the_captioner_of_another_checkpoint_reads_the_pictures_and_is_named(judge, cache):
    pipe, options = ToyPipeline(), {"captions": 12, "judge": judge, "cache": cache, "metrics": ("claims",), "progress": False}
    own = evaluate(pipe, **options)
    pipe.captioner = None
    found = evaluate(pipe, captioner="dmmgan-aviary", **options)
    assert own["captioner"]["checkpoint"] == "toy"
    assert found["captioner"] == {"checkpoint": "dmmgan-aviary", "weights_sha256": digest(load("dmmgan-aviary").captioner)}
    assert found["metrics"]["claims"]["by_size"]["32"]["rendered"] != own["metrics"]["claims"]["by_size"]["32"]["rendered"]
    assert "captioner" not in evaluate(pipe, **options | {"metrics": ("attributes",)})


def test_training_writes_a_judge_and_its_card(tmp_path, cache):
    card = train_judge(Settings(tmp_path, 4, 3, batch=4, cache=cache, test_images=4, progress=False), width=4, input_size=16)
    judge = load_judge(tmp_path)
    assert judge.card == card and judge.config["input_size"] == 16 and not judge.training
    assert "dmm train judge" in (tmp_path / "README.md").read_text()
    for name, value in examine(judge, 4, cache=cache)["accuracy"].items():
        assert value == card["unseen_species"]["accuracy"][name], name


def test_the_network_can_learn_which_part_has_which_colour():
    """One coloured square for each part, each at its place."""
    torch.manual_seed(0)
    judge = Judge(width=8, input_size=32).train()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=1e-2)
    for _ in range(120):
        black = torch.randint(0, 2, (32, 4))
        images = torch.ones(32, 3, 32, 32)
        for i in range(4):
            y, x = 16 * (i // 2), 16 * (i % 2)
            images[:, :, y : y + 16, x : x + 16] = 1.0 - 2.0 * black[:, i, None, None, None]
        logits = judge(images)["logits"]
        wanted = [torch.where(black[:, i] == 1, COLOURS.index("black"), COLOURS.index("white")) for i in range(4)]
        losses = [torch.nn.functional.cross_entropy(logits[part], wanted[i]) for i, part in enumerate(PARTS[:4])]
        optimiser.zero_grad()
        sum(losses).backward()
        optimiser.step()
    assert all((logits[part].argmax(1) == wanted[i]).float().mean() > 0.9 for i, part in enumerate(PARTS[:4]))


def test_examine(judge, cache):
    report = examine(load_judge(judge), images=4, cache=cache, batch=3)
    assert report["images"] == 4 and set(report["accuracy"]) == set(HEADS)


def test_the_shipped_judge_reads_rendered_birds(cache):
    report = examine(load_judge(), images=24, cache=cache)
    assert report["captioned"]["mean"] > 0.85
