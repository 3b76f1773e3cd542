"""The bench: what it prints and that its two paths are one; never how fast."""

import json

import pytest
import torch
from typer.testing import CliRunner

from dmm import matching
from dmm.bench import systems as bench
from dmm.bench.measure import LiveBytes, count, peak, take_turns
from dmm.bench.plain import captions_one_by_one, unfuse, word_scores_one_by_one
from dmm.cli import app
from dmm.config import ConfigError
from dmm.models.dfgan import TargetAwareDiscriminator
from dmm.models.registry import list_models
from dmm.recipes import recipe
from dmm.training import adversarial, compiled

CPU = torch.device("cpu")
SYSTEMS = [entry.name for entry in list_models()]
FIGURES = {"images_per_second", "gflops_per_image", "share_of_peak", "peak_memory_mib"}
TOY = {**bench.SMALL, "widths": (4, 4, 4), "discriminator_width": 2, "encoder_size": 32, "encoder_width": 4, "text_dim": 16}


@pytest.fixture
def toy(monkeypatch):
    """The small size, smaller still, with a peak that takes no time; in fp32, for bf16 is far off in four channels of random weights."""
    for module in (bench, adversarial):
        monkeypatch.setattr(module, "resolve", lambda precision, device: torch.float32)
    monkeypatch.setattr(bench, "SMALL", TOY)
    monkeypatch.setattr(bench, "peak", lambda dtype, device, seconds: 1e12)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_row_of_every_system(system, toy):
    result = bench.bench_systems([system], ["small"], 0.05, 2)
    (row,) = result["rows"]
    sampling, training = row["sampling"], row["training"]
    assert sampling["equal"] and sampling["difference"] <= sampling["tolerance"][0] and sampling["parameters"] > 1000
    for half in (sampling, training):
        assert half["ratio"] > 0 and all(half[path].keys() == FIGURES for path in ("fast", "plain"))
        assert all(value > 0 for path in ("fast", "plain") for name, value in half[path].items() if name != "share_of_peak")
    assert 0 <= training["loss_difference"] < (0.2 if result["precision"] == "float32" else 1.0)
    cheaper = sampling["fast"]["gflops_per_image"] < sampling["plain"]["gflops_per_image"]
    assert cheaper == (system != "gan-int-cls")  # whose transposed convolutions have no cheaper order
    lines = bench.table(result).splitlines()
    assert len(lines) == 4 and lines[3].startswith(system) and json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("system", ["dmmgan", "dfgan"])
def test_a_compiled_row_generates_the_same(system, toy, monkeypatch):
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    called = []
    monkeypatch.setattr(bench, "compile_blocks", lambda *networks: called.append(compiled.compile_blocks(*networks)))
    result = bench.bench_systems([system], ["small"], 0.05, 2, compiled=True)
    assert result["compiled"] and ", compiled;" in bench.table(result) and len(called[0]) > 1
    assert result["rows"][0]["sampling"]["equal"] and result["rows"][0]["training"]["loss_difference"] < 0.2


@pytest.mark.parametrize("size", bench.SIZES)
def test_sizes_take_what_their_recipes_say(size):
    config = bench.bench_config("dmgan", size, 3)
    assert config.model.system == "dmgan" and config.train.damsm == 5.0 and config.train.batch == 3
    assert config.model.widths == {"small": (16, 8, 4), "aviary": recipe("dmmgan-aviary").model.widths, "published": (64, 64, 64)}[size]
    assert config.model.image_encoder == ("inception" if size == "published" else "small")


@pytest.mark.parametrize("system", ["dmmgan", "dfgan"])
def test_the_plain_generator_generates_the_same(system):
    config = bench.bench_config(system, "small", 2)
    inputs = bench.random_inputs(config, 2, CPU)
    generator = bench.warmed_generator(config, inputs)
    with torch.no_grad():
        fused, plain = generator(*inputs), unfuse(generator)(*inputs)
    assert max(bench.difference(fused, plain)) < 2e-5


def test_the_plain_discriminator_judges_the_same_by_more_multiplications():
    discriminator = TargetAwareDiscriminator(32, 4, 6)
    image, sentence = torch.randn(2, 3, 32, 32), torch.randn(2, 6)
    given = discriminator(image, sentence)
    less = count(lambda: discriminator(image, sentence), CPU).flops
    torch.testing.assert_close(unfuse(discriminator)(image, sentence), given)
    assert count(lambda: discriminator(image, sentence), CPU).flops > less


def test_word_scores_one_by_one_are_the_word_scores():
    regions, words = torch.randn(3, 8, 4, 4).double(), torch.randn(4, 8, 6).double()
    lengths = torch.tensor([6, 2, 4, 1])
    together = matching.word_scores(regions, words, lengths)
    torch.testing.assert_close(word_scores_one_by_one(regions, words, lengths), together, rtol=1e-9, atol=1e-9)
    with captions_one_by_one():
        assert matching.word_scores is word_scores_one_by_one
    assert matching.word_scores is not word_scores_one_by_one


def test_costs_are_counted():
    x = torch.ones(64, 64)

    def call():
        for _ in range(5):
            y = x @ x
        return y

    cost = count(call, CPU)
    assert cost.flops == 5 * 2 * 64**3
    assert cost.memory == 3 * x.nbytes  # what is read, the last product and the next
    with LiveBytes() as bytes_seen:
        call()
    assert bytes_seen.now == x.nbytes


def test_paths_take_turns():
    called = []
    times = take_turns({name: lambda name=name: called.append(name) for name in "ab"}, 0.0, CPU)
    assert called == list("ab") and times.keys() == {"a", "b"}
    assert peak(torch.float32, CPU, 0.01) > 0


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="--sizes: expected some of small, aviary, published, found 'large'"):
        bench.bench_config("dmgan", "large", 2)
    with pytest.raises(ConfigError, match="--batch: expected at least 2"):
        bench.bench_systems(["dmgan"], batch=1)
    with pytest.raises(ConfigError, match="--batch: expected at least 2"):
        bench.bench_systems(["dmgan"], batch=0)


@pytest.mark.parametrize(
    ("name", "label"),
    [("Intel(R) Xeon(R) CPU @ 2.20GHz", "intel-xeon"), ("AMD EPYC 7B13 64-Core Processor", "amd-epyc-7b13-64-core")],
)
def test_the_label_has_cpu_and_threads(name, label, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(bench, "machine", lambda: f"2 cores of {name}, torch 2")
    assert bench.machine_label() == f"{label}-3-threads"


def test_the_command_prints_a_table_and_writes_the_figures(toy, tmp_path, monkeypatch):
    arguments = ["bench", "--only", "stackgan", "--sizes", "small", "--seconds", "0.05", "--batch", "2", "--out", str(tmp_path / "b.json")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "max diff" in result.output
    written = json.loads((tmp_path / "b.json").read_text())
    assert written["rows"][0]["system"] == "stackgan" and "command" in written
    monkeypatch.setattr(bench, "bench_systems", lambda *settings: written)
    printed = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(printed.stdout)["rows"][0]["size"] == "small"
    written["rows"][0]["sampling"]["equal"] = False
    different = CliRunner().invoke(app, arguments)
    assert different.exit_code == 1 and "pictures differ" in different.output
    wrong = CliRunner().invoke(app, ["bench", "--only", "stackgun"])
    assert wrong.exit_code == 2 and "expected one of app, aviary, attngan" in wrong.output


def test_the_renderer_is_timed_by_threads_and_by_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "BATCH", 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    found = bench.bench_aviary(0.01, workers=1)
    assert [(row["by"], row["processes"], row["threads"], row["size"]) for row in found["rows"]] == [
        (by, 1, 1, size) for by in ("1 thread", "1 process") for size in (64, 256)
    ]
    assert all(row["images_per_second"] > 0 for row in found["rows"]) and found["start_seconds"] > 0
    rows = [{"by": by, "size": size, "images_per_second": rate} for by, size, rate in (
        ("1 thread", 64, 84.84), ("1 thread", 256, 44.6), ("2 threads", 64, 84.8), ("2 threads", 256, 52.0),
        ("2 processes", 64, 160.0), ("2 processes", 256, 85.25),
    )]  # fmt: skip
    monkeypatch.setattr(bench, "bench_aviary", lambda seconds: {"machine": "a machine", "start_seconds": 3.1, "rows": rows})
    printed = CliRunner().invoke(app, ["bench", "--only", "aviary", "--out", str(tmp_path / "b.json")])
    assert printed.exit_code == 0 and printed.output.splitlines() == [
        "a machine",
        "garden birds rendered a second by     64 px   256 px",
        "1 thread                               84.8     44.6",
        "2 threads                              84.8     52.0",
        "2 processes                           160.0     85.2   started in 3.1 s, not counted",
    ]
    assert json.loads((tmp_path / "b.json").read_text())["rows"] == rows


def test_pictures_come_back_from_processes_as_a_cache_keeps_them():
    birds = [bench.bird(index) for index in range(2)]
    found = bench._rendered_bytes(32, birds)
    assert found.dtype == "uint8" and torch.equal(torch.from_numpy(found), (bench.render(birds, 32) * 255).round().to(torch.uint8))
