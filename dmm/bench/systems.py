"""How fast the parts are on this machine: figures to compare within one run, not between machines.

Every system is timed at three sizes, generating and training, beside a plain path (:mod:`dmm.bench.plain`) that takes turns with it:
the ratio of the two holds on any machine, and the share of the machine's own peak says how much is left. Nothing trained and no data set is
needed: encoders are random, pictures are a few drawn birds. Generating starts from text features, training from captions and pictures.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from dmm.aviary.grammar import AVIARY_VOCABULARY
from dmm.aviary.renderer import render
from dmm.aviary.species import bird
from dmm.aviary.traits import Bird
from dmm.bench.measure import Call, Cost, count, generated, peak, take_turns
from dmm.bench.plain import PlainStep, unfuse
from dmm.checkpoint import build, write
from dmm.config import Config, ConfigError
from dmm.data.vocab import Vocabulary
from dmm.models.kernels.fuse import fuse_batch_norms
from dmm.models.registry import find_model, list_models
from dmm.recipes import recipe
from dmm.trace import Trace
from dmm.training.adversarial import GanStep
from dmm.training.compiled import compile_blocks
from dmm.training.ema import reestimate
from dmm.training.logs import machine
from dmm.training.precision import layout, resolve
from dmm.training.ranks import find_device
from dmm.workers import WorkerPool, useful_workers

BATCH = 16  # birds rendered in one call
RENDERED = (64, 256)  # px
WORDS = 16  # of each caption that is generated from
SIZES = ("small", "aviary", "published")
#: The small size, over that of Aviary.
SMALL: dict[str, Any] = {
    "widths": (16, 8, 4),
    "discriminator_width": 12,
    "noise_dim": 16,
    "condition_dim": 32,
    "text_dim": 64,
    "embedding_dim": 64,
    "encoder_width": 16,
    "caption_embedding": 64,
    "caption_hidden": 64,
}
#: Largest and mean difference of two paths' pictures, in [-1, 1], that count as rounding, both in fp32; one level of 8 bits is 0.008.
TOLERANCE = (2e-4, 1e-5)
#: Mean difference that counts as the rounding of 16 bits. The largest does not tell: in an untrained network a single place may round far.
MEAN_IN_16_BITS = 0.02


def bench_aviary(seconds: float, workers: int | None = None) -> dict:
    """Garden birds rendered a second, at 64 and 256 px: by one thread, by all of torch's threads, and by processes of one thread each.

    Processes hand their pictures back as bytes. They are measured warm; the time to start them is given apart.

    Args:
        seconds: time for each row.
        workers: processes; by default as many as draw a large data set.

    Returns:
        ``machine``, ``start_seconds`` of the processes, and ``rows``: by ("2 threads"), processes, threads of each, size (px),
        images_per_second.
    """
    rows, threads, workers = [], torch.get_num_threads(), workers or useful_workers(sys.maxsize)
    try:
        for some in dict.fromkeys((1, threads)):
            torch.set_num_threads(some)
            for size in RENDERED:
                rate = _rate(partial(map, partial(render, size=size)), 1, seconds)
                rows.append({"by": _several(some, "thread"), "processes": 1, "threads": some, "size": size, "images_per_second": rate})
    finally:
        torch.set_num_threads(threads)
    began = time.monotonic()
    with WorkerPool(workers, "dmm.aviary.renderer") as pool:
        pool.ready()
        start = round(time.monotonic() - began, 1)
        for size in RENDERED:
            rate = _rate(partial(pool.run, partial(_rendered_bytes, size)), workers, seconds)
            rows.append({"by": _several(workers, "process"), "processes": workers, "threads": 1, "size": size, "images_per_second": rate})
    return {"machine": machine(), "start_seconds": start, "rows": rows}


def _rate(run: Callable[[Iterable[list[Bird]]], Iterable], at_once: int, seconds: float) -> float:
    """Birds a second: ``run`` renders batches of them for as long as it is handed some, after ``at_once`` batches that do not count."""
    birds = [bird(index) for index in range(BATCH)]
    list(run([birds] * at_once))
    began = time.monotonic()
    done = sum(BATCH for _ in run(iter(lambda: birds if time.monotonic() - began < seconds else None, None)))
    return round(done / (time.monotonic() - began), 1)


def _rendered_bytes(size: int, birds: Sequence[Bird]) -> np.ndarray:
    """uint8 B 3 S S, as a cache keeps them."""
    return (render(birds, size) * 255).round().to(torch.uint8).numpy()


def _several(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("" if count == 1 else "es" if thing.endswith("s") else "s")


def aviary_table(result: dict) -> str:
    """The figures of :func:`bench_aviary` in words and columns."""
    lines = [result["machine"], f"{'garden birds rendered a second by':<34}" + "".join(f"{f'{size} px':>9}" for size in RENDERED)]
    for by in dict.fromkeys(row["by"] for row in result["rows"]):
        rates = {row["size"]: row["images_per_second"] for row in result["rows"] if row["by"] == by}
        started = f"   started in {result['start_seconds']} s, not counted" if "process" in by else ""
        lines.append(f"{by:<34}" + "".join(f"{rates[size]:>9.1f}" for size in RENDERED) + started)
    return "\n".join(lines)


def names() -> list[str]:
    """What can be timed alone: "aviary" and every registered system."""
    return ["aviary", *(entry.name for entry in list_models())]


def machine_label() -> str:
    """CPU or GPU and thread count, for a file's name: ``amd-epyc-2-threads``."""
    threads = torch.get_num_threads()
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
    else:
        name = machine().partition(" cores of ")[2].rpartition(", torch ")[0] or platform.machine()
    name = re.sub(r"\(R\)|\(TM\)|\bCPU\b|\bProcessor\b|@.*", " ", name, flags=re.IGNORECASE)
    return "-".join(re.findall(r"[a-z0-9.]+", f"{name} {threads} thread{'s' * (threads > 1)}".lower()))


def bench_config(system: str, size: str, batch: int, cache: str | os.PathLike = ".cache/bench", compiled: bool = False) -> Config:
    """A run of a system at one size, with the losses of its published birds.

    Args:
        system: a name of `dmm list`, with a recipe ``<system>-cub``.
        size: of :data:`SIZES`. "published" is the recipe itself, "aviary" has the widths and encoders of ``dmmgan-aviary``.
        batch: captions a step.
        cache: where the drawn pictures are kept; a run keeps them on its device as well.
        compiled: with ``train.compile``.

    Raises:
        ConfigError: another size, or a system without that recipe.
    """
    if size not in SIZES:
        raise ConfigError(f"--sizes: expected some of {', '.join(SIZES)}, found {size!r}")
    config = recipe(f"{system}-cub", "gan")
    model = config.model
    if size != "published":
        model = dataclasses.replace(recipe("dmmgan-aviary").model, system=system, **(SMALL if size == "small" else {}))
    data = dataclasses.replace(config.data, source="aviary", images=max(batch, 8), cache=str(cache), on_device=True)
    train = dataclasses.replace(config.train, batch=batch, precision="auto", one_pass=True, accumulate=1, compile=compiled)
    return Config(model, data, train)


def random_encoders(config: Config, folder: Path) -> tuple[Path, Path | None]:
    """Checkpoints of untrained encoders, as a run would load them: those of matching, and the captioner's if its loss has a weight."""
    vocab = Vocabulary(AVIARY_VOCABULARY(), config.model.convention)
    parts = ["text_encoder", *(["image_encoder"] if config.train.damsm else [])]
    write(folder / "match", {part: build(part, config.model, vocab).eval() for part in parts}, config.model, vocab, {})
    if not config.train.stream:
        return folder / "match", None
    write(folder / "caption", {"captioner": build("captioner", config.model, vocab).eval()}, config.model, vocab, {})
    return folder / "match", folder / "caption"


def random_inputs(config: Config, batch: int, device: torch.device) -> tuple:
    """What a generator is called with: sentence B D, words B D T, mask B T, noise B Z, eps B K."""
    model, rng = config.model, torch.Generator().manual_seed(0)
    mask = torch.zeros(batch, WORDS, dtype=torch.bool)
    mask[::2, WORDS * 3 // 4 :] = True  # half of the captions are shorter
    shapes = ((batch, model.text_dim), (batch, model.text_dim, WORDS), (batch, model.noise_dim), (batch, model.condition_dim))
    sentence, words, noise, eps = (torch.randn(shape, generator=rng).to(device) for shape in shapes)
    return 0.2 * sentence, 0.2 * words, mask.to(device), noise, eps  # text features have about this size


def warmed_generator(config: Config, inputs: tuple) -> nn.Module:
    """An untrained generator whose batch norms have statistics of their own, in evaluation mode."""
    torch.manual_seed(0)
    vocab = Vocabulary(AVIARY_VOCABULARY(), config.model.convention)
    generator = build("generator", config.model, vocab).to(inputs[0].device)
    reestimate(generator, lambda network, number: network(*inputs), range(2))
    return generator


def difference(fast: Trace, plain: Trace) -> tuple[float, float]:
    """Largest and mean difference of two traces' pictures, in [-1, 1]."""
    apart = torch.cat([(a.float() - b.float()).abs().flatten() for a, b in zip(fast.images, plain.images, strict=True)])
    return apart.max().item(), apart.mean().item()


def _figures(paths: Mapping[str, Call], costs: dict[str, Cost], peaks: dict[str, float], batch: int, seconds: float, device) -> dict:
    """Images a second, share of the peak and memory of the fast and the plain path."""
    times = take_turns(paths, seconds, device)
    found: dict = {"ratio": round(times["plain"] / times["fast"], 2)}
    for name, taken in times.items():
        found[name] = {
            "images_per_second": round(batch / taken, 3),
            "gflops_per_image": round(costs[name].flops / batch / 1e9, 4),
            "share_of_peak": round(costs[name].flops / taken / peaks[name], 4),
            "peak_memory_mib": round(costs[name].memory / 2**20, 1),
        }
    return found


def _held(device: torch.device) -> int:
    return torch.cuda.memory_allocated() if device.type == "cuda" else 0


def time_sampling(config: Config, peaks: dict[str, float], seconds: float, device: torch.device, dtype: torch.dtype) -> dict:
    """The sampling half of a row: figures of both paths, ``difference``, ``tolerance`` and ``equal`` of their pictures; ``parameters``.

    Equal are pictures that differ by rounding when both paths compute in fp32, and whose mean differs by no more in ``dtype``.
    """
    batch = config.train.batch
    inputs = random_inputs(config, batch, device)
    generator = warmed_generator(config, inputs)
    before = _held(device)
    fast = layout(fuse_batch_norms(generator), dtype)
    if config.train.compile:
        compile_blocks(find_model(config.model.system), fast, (), device)
    calls: dict[str, Callable[[], Trace]] = {"fast": lambda: generated(fast, inputs, dtype, device)}
    costs = {"fast": count(calls["fast"], device, before)}
    before = _held(device)
    plain = unfuse(copy.deepcopy(generator))
    calls["plain"] = lambda: generated(plain, inputs, torch.float32, device)
    costs["plain"] = count(calls["plain"], device, before)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # a GPU's convolutions in all 32 bits
        expected = calls["plain"]()
        exact, timed = (difference(generated(fast, inputs, one, device), expected) for one in (torch.float32, dtype))
    equal = exact[0] <= TOLERANCE[0] and exact[1] <= TOLERANCE[1] and timed[1] <= MEAN_IN_16_BITS
    found: dict = {"parameters": sum(p.numel() for p in generator.parameters()), "tolerance": list(TOLERANCE), "equal": equal}
    found |= {"difference": exact[0], "mean_difference": exact[1], "mean_difference_as_timed": timed[1]}
    return found | _figures(calls, costs, peaks, batch, seconds, device)


def time_training(config: Config, peaks: dict[str, float], seconds: float, device: torch.device, folder: Path) -> dict:
    """The training half of a row: figures of both paths, and the largest relative ``loss_difference`` of their first steps."""
    encoders = random_encoders(config, folder)
    first: dict[str, dict[str, float]] = {}
    calls: dict[str, Call] = {}
    costs: dict[str, Cost] = {}
    for name, kind in (("fast", GanStep), ("plain", PlainStep)):
        before = _held(device)
        step = kind(config, *encoders)
        first[name] = step.update(0)
        calls[name] = partial(step.update, 1)
        costs[name] = count(calls[name], device, before)
    apart = max(abs(value - first["plain"][term]) / max(abs(first["plain"][term]), 1e-3) for term, value in first["fast"].items())
    return {"loss_difference": apart} | _figures(calls, costs, peaks, config.train.batch, seconds, device)


def bench_systems(
    systems: Sequence[str], sizes: Sequence[str] = SIZES, seconds: float = 10.0, batch: int | None = None, compiled: bool = False
) -> dict:
    """Every system at every size, on the GPU if there is one.

    Args:
        systems: names of `dmm list`.
        sizes: some of :data:`SIZES`.
        seconds: time for each of a row's four measurements.
        batch: pictures at a time, at least 2; by default 4 on a CPU and 32 on a GPU.
        compiled: let ``torch.compile`` join the blocks of the fast path; compiling is not timed.

    Returns:
        ``machine``, ``label``, ``threads``, ``precision``, ``compiled``, ``peak_gflops`` by precision, and ``rows``: system, size, batch,
        sampling, training.

    Raises:
        ConfigError: an unknown size, or a batch of one.
    """
    device = find_device("auto")
    batch = (32 if device.type == "cuda" else 4) if batch is None else batch
    if batch < 2:
        raise ConfigError(f"--batch: expected at least 2, without which there are no mismatching pairs, found {batch}")
    dtype = resolve("auto", device)
    best = {kind: peak(kind, device, min(seconds, 2.0)) for kind in {dtype, torch.float32}}
    peaks, rows = {"fast": best[dtype], "plain": best[torch.float32]}, []
    with tempfile.TemporaryDirectory() as cache:
        plan = [(s, size, bench_config(s, size, batch, cache, compiled)) for s in systems for size in sizes]
        bar = tqdm(plan, desc="bench", unit="row", dynamic_ncols=True, disable=not sys.stderr.isatty())
        for system, size, config in bar:
            bar.set_postfix_str(f"{system} {size}")
            row = {"system": system, "size": size, "batch": batch, "sampling": time_sampling(config, peaks, seconds, device, dtype)}
            with tempfile.TemporaryDirectory() as folder:
                rows.append(row | {"training": time_training(config, peaks, seconds, device, Path(folder))})
    known = {"machine": machine(), "label": machine_label(), "threads": torch.get_num_threads(), "precision": str(dtype)[6:]}
    known |= {"compiled": compiled}
    return known | {"peak_gflops": {str(kind)[6:]: round(value / 1e9, 1) for kind, value in best.items()}, "rows": rows}


def table(result: dict) -> str:
    """The figures of :func:`bench_systems` in words and columns; rates in images a second, memory in MiB."""
    peaks = ", ".join(f"{value:g} GFLOP/s {kind}" for kind, value in result["peak_gflops"].items())
    compiled = ", compiled" if result["compiled"] else ""
    lines = [f"{result['machine']}; {result['threads']} threads; fast path in {result['precision']}{compiled}; measured peak {peaks}"]
    half = f"{'img/s':>8} {'plain':>8} {'ratio':>6} {'of peak':>8} {'plain':>6} {'MiB':>7} {'plain':>7}"
    lines.append(f"{'':46} {'sampling':<56} {'':10} training")
    lines.append(f"{'system':<14} {'size':<10} {'params, M':>10} {'batch':>8}  {half} {'max diff':>10}  {half}")
    for row in result["rows"]:
        sampling = row["sampling"]
        mark = "" if sampling["equal"] else "  pictures differ"
        start = f"{row['system']:<14} {row['size']:<10} {sampling['parameters'] / 1e6:>10.2f} {row['batch']:>8}"
        lines.append(f"{start}  {_half(sampling)} {sampling['difference']:>10.1e}  {_half(row['training'])}{mark}")
    return "\n".join(lines)


def _half(found: dict) -> str:
    fast, plain = found["fast"], found["plain"]
    rates = f"{fast['images_per_second']:>8.2f} {plain['images_per_second']:>8.2f} {found['ratio']:>6.2f}"
    shares = f"{fast['share_of_peak']:>8.1%} {plain['share_of_peak']:>6.1%}"
    return f"{rates} {shares} {fast['peak_memory_mib']:>7.0f} {plain['peak_memory_mib']:>7.0f}"
