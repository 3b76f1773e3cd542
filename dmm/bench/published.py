"""A checkout of a published code beside our networks: equal weights, equal inputs, one thread, alternately (``dmm bench --against PATH``).

The published codes are not shipped. PATH is the reader's own checkout, and to import it is to run it. What is taken of it:

=======  ============================================================================================================================
DM-GAN   ``code/model.py`` (G_NET, D_NET64, D_NET128, D_NET256), ``code/GlobalAttention.py``, ``code/spectral.py``,
         ``code/miscc/config.py`` (cfg), ``code/miscc/losses.py`` (discriminator_loss, generator_loss, KL_loss)
AttnGAN  the same without ``code/spectral.py``
DF-GAN   ``code/models/GAN.py`` (NetG); its step asks for a GPU (``MA_GP`` in ``code/lib/modules.py``), so it is not timed
=======  ============================================================================================================================

Written for Python 2 and PyTorch 0.4, they need some help, the same for all: stand-ins for the packages ``easydict`` and ``torchvision``
(of which only their image encoder makes use, and that is ours here, on both sides); the noise of the conditioning code is handed in, where
``CA_NET.reparametrize`` would draw it; no class ids, since their masks of bytes are refused by today's PyTorch.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import os
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.bench.measure import Call, generated, take_turns
from dmm.bench.systems import bench_config, random_encoders, random_inputs, warmed_generator
from dmm.config import Config, ConfigError
from dmm.convert.dfgan import GENERATOR as DFGAN_GENERATOR
from dmm.convert.keys import KeyTable
from dmm.convert.reference_case import upstream_state
from dmm.convert.systems import SYSTEMS
from dmm.errors import InputError
from dmm.models.kernels.fuse import fuse_batch_norms
from dmm.training.adversarial import GanStep
from dmm.training.logs import machine
from dmm.training.transfer import images_to_device

CPU = torch.device("cpu")
NAMES = ("model", "models", "GlobalAttention", "spectral", "miscc")  # what the checkouts call their modules
SAME = 1e-9  # largest difference of pictures in float64 that is rounding


class Settings(dict):
    """``easydict.EasyDict``: a dictionary whose keys are attributes as well."""

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    __setattr__ = dict.__setitem__


@contextmanager
def importing(folder: Path) -> Iterator[None]:
    """Meanwhile a published code's modules are found in ``folder``; afterwards none of them is left, in memory or as a cache beside it."""
    torchvision = types.ModuleType("torchvision")
    torchvision.models = types.ModuleType("torchvision.models")  # type: ignore[attr-defined]
    easydict = types.ModuleType("easydict")
    easydict.EasyDict = Settings  # type: ignore[attr-defined]
    shims = {"torchvision": torchvision, "easydict": easydict}
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    ours = _take_out({*NAMES, *shims})
    sys.modules.update(shims)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _take_out({*NAMES, *shims})
        sys.modules.update(ours)
        sys.dont_write_bytecode = writes


def _take_out(names: set[str]) -> dict[str, types.ModuleType]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}


def adopt(theirs: nn.Module, ours: nn.Module, table: KeyTable) -> nn.Module:
    """One of their networks with the numbers of ours."""
    theirs.load_state_dict(upstream_state(ours, theirs.state_dict(), table))
    return theirs


class AttentionCode:
    """AttnGAN's and DM-GAN's, at our settings.

    Args:
        folder: the checkout.
        config: of our run; one width for all stages.
    """

    def __init__(self, folder: Path, config: Config):
        with importing(folder / "code"):
            cfg = importlib.import_module("miscc.config").cfg
            for name, value in _settings(config).items():
                *path, last = name.split(".")
                setattr(reduce(getattr, path, cfg), last, value)
            self.model, self.losses = importlib.import_module("model"), importlib.import_module("miscc.losses")
        self.system = SYSTEMS[config.model.system]

    def generator(self, ours: nn.Module) -> nn.Module:
        """Theirs, equal to ours."""
        return adopt(self.model.G_NET(), ours, self.system.generator_keys)

    def discriminator(self, ours: nn.Module, size: int) -> nn.Module:
        """Theirs of pictures of ``size`` px, equal to ours."""
        return adopt(getattr(self.model, f"D_NET{size}")(), ours, self.system.discriminator_keys(size))

    def run(self, generator: nn.Module, inputs: tuple) -> tuple[list[Tensor], Tensor, Tensor]:
        """Pictures of every stage, mean and log variance of the conditioning code, of the inputs that our generator takes."""
        sentence, words, mask, noise, eps = inputs
        conditioning = generator.get_submodule("ca_net")
        setattr(conditioning, "reparametrize", lambda mean, logvar: eps.mul(logvar.mul(0.5).exp()).add_(mean))  # noqa: B010  # nn.Module declares none
        lengths = ((~mask).sum(1),) if self.system.name == "dmgan" else ()
        images, _, mean, logvar = generator(noise, sentence, words, mask, *lengths)
        return images, mean, logvar

    def images(self, generator: nn.Module, inputs: tuple) -> list[Tensor]:
        """Pictures of every stage."""
        return self.run(generator, inputs)[0]


def _settings(config: Config) -> dict:
    model, train = config.model, config.train
    gammas = {f"TRAIN.SMOOTH.GAMMA{n}": getattr(train, f"gamma{n}") for n in (1, 2, 3)}
    sizes = {"GF_DIM": model.widths[0], "DF_DIM": model.discriminator_width, "Z_DIM": model.noise_dim, "R_NUM": model.residuals}
    sizes |= {"CONDITION_DIM": model.condition_dim, "B_DCGAN": False}
    found = {"CUDA": False, "TREE.BRANCH_NUM": 3, "TEXT.EMBEDDING_DIM": model.text_dim, "TRAIN.SMOOTH.LAMBDA": train.damsm}
    return found | gammas | {f"GAN.{name}": value for name, value in sizes.items()}


class AttentionStep:
    """The body of the loop of their ``trainer.py`` with their networks and losses, on what our step reads, and its frozen encoders.

    Args:
        code: whose.
        ours: begins at the same weights, and reads the same batches.
    """

    def __init__(self, code: AttentionCode, ours: GanStep):
        self.code, self.ours, settings = code, ours, ours.config.train
        self.generator = code.generator(ours.generator).train()
        self.discriminators = [code.discriminator(network, network.size) for network in ours.discriminators]
        self.ema = copy.deepcopy(list(self.generator.parameters()))
        betas = (settings.beta1, settings.beta2)
        self.generator_adam = torch.optim.Adam(self.generator.parameters(), settings.generator_lr, betas)
        self.adams = [
            torch.optim.Adam([p for p in network.parameters() if p.requires_grad], settings.discriminator_lr, betas)
            for network in self.discriminators
        ]

    def update(self, index: int) -> dict[str, float]:
        """Every discriminator, the generator, its EMA; the losses by our names."""
        losses = self.code.losses
        (micro_batch,) = self.ours.read(index)
        text, lengths = micro_batch.text, micro_batch.batch.lengths
        one, zero = torch.ones(len(lengths)), torch.zeros(len(lengths))
        inputs = (text.sentence, text.words, text.mask, micro_batch.noise, micro_batch.eps)
        images, mean, logvar = self.code.run(self.generator, inputs)
        found = {}
        for network, adam, own, fake in zip(self.discriminators, self.adams, self.ours.discriminators, images, strict=True):
            network.zero_grad()
            real = images_to_device(micro_batch.real[own.size], CPU)
            loss = losses.discriminator_loss(network, real, fake, text.sentence, one, zero)
            loss = loss[0] if isinstance(loss, tuple) else loss  # DM-GAN's comes with a line for its log
            loss.backward()
            adam.step()
            found[f"d{own.size}"] = loss.item()
        self.generator.zero_grad()
        encoder, match = self.ours.frozen.image_encoder, torch.arange(len(lengths))
        total, _ = losses.generator_loss(self.discriminators, encoder, images, one, text.words, text.sentence, match, lengths, None)
        total += losses.KL_loss(mean, logvar)
        total.backward()
        self.generator_adam.step()
        for kept, parameter in zip(self.ema, self.generator.parameters(), strict=True):
            kept.data.mul_(0.999).add_(parameter.data, alpha=0.001)
        return found | {"generator": total.item()}


class DFGANCode:
    """DF-GAN's. Arguments as of :class:`AttentionCode`."""

    def __init__(self, folder: Path, config: Config):
        with importing(folder / "code"):
            self.model = importlib.import_module("models.GAN")
        self.config = config.model

    def generator(self, ours: nn.Module) -> nn.Module:
        """Theirs, equal to ours."""
        model = self.config
        return adopt(self.model.NetG(model.widths[-1], model.noise_dim, model.text_dim, 256, 3), ours, DFGAN_GENERATOR)

    def images(self, generator: nn.Module, inputs: tuple) -> list[Tensor]:
        """The picture."""
        return [generator(inputs[3], inputs[0])]


@dataclasses.dataclass(frozen=True)
class Adapter:
    """Which of our systems a published code is, and what of a checkout is read."""

    name: str
    system: str
    code: type[AttentionCode] | type[DFGANCode]
    files: tuple[str, ...]

    def missing(self, folder: Path) -> list[str]:
        """Of the files, those that a checkout lacks."""
        return [file for file in self.files if not (folder / file).is_file()]


_FILES = ("code/model.py", "code/GlobalAttention.py", "code/miscc/config.py", "code/miscc/losses.py")
ADAPTERS = (
    Adapter("DM-GAN", "dmgan", AttentionCode, (*_FILES, "code/spectral.py")),
    Adapter("AttnGAN", "attngan", AttentionCode, _FILES),
    Adapter("DF-GAN", "dfgan", DFGANCode, ("code/models/GAN.py",)),
)


def find_adapter(folder: Path, system: str | None = None) -> Adapter:
    """The adapter of a checkout: the one of ``system``, or else the one that finds most of its files.

    Raises:
        InputError: no adapter for the system, no such folder, or a file that is missing, named.
    """
    known = {adapter.system: adapter for adapter in ADAPTERS}
    if system is not None and system not in known:
        raise ConfigError(f"--only: expected with --against one of {', '.join(known)}, found {system!r}")
    if not folder.is_dir():
        raise InputError(f"--against: expected the folder of a checkout, found none at {folder}")
    nearest = min(ADAPTERS, key=lambda adapter: (len(adapter.missing(folder)), -len(adapter.files)))
    adapter = known[system] if system else nearest
    if missing := adapter.missing(folder):
        raise InputError(f"--against: {folder} is no checkout of {adapter.name}: it lacks {missing[0]}; --only names another system")
    return adapter


def against_config(system: str, size: str, batch: int, cache: str | os.PathLike) -> Config:
    """:func:`~dmm.bench.systems.bench_config` with the widths and the mask of the published codes, which know no others."""
    config = bench_config(system, size, batch, cache)
    first, *_, last = config.model.widths
    widths = (4 * last, 2 * last, last) if system == "dfgan" else (first,) * 3
    model = dataclasses.replace(config.model, widths=widths, mask_pairing="published")
    return dataclasses.replace(config, model=model, train=dataclasses.replace(config.train, precision="fp32", device="cpu"))


def _timed(published: Call, ours: Call, seconds: float) -> dict:
    """CPU seconds a call of both, and their ratio."""
    taken = take_turns({"published": published, "ours": ours}, seconds, CPU, time.process_time)
    return {name: round(value, 4) for name, value in taken.items()} | {"ratio": round(taken["published"] / taken["ours"], 2)}


@torch.no_grad()
def time_generation(code: AttentionCode | DFGANCode, config: Config, seconds: float) -> dict:
    """CPU seconds a batch in fp32, and the largest difference of the pictures in float64, in [-1, 1]."""
    inputs = random_inputs(config, config.train.batch, CPU)
    ours = warmed_generator(config, inputs).eval()
    for parameter in ours.parameters():
        if not parameter.any():  # DF-GAN's affine layers begin as constants, which would hide what they compute
            nn.init.normal_(parameter, std=0.02)
    theirs, fast = code.generator(ours).eval(), fuse_batch_norms(ours)
    wide = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    pairs = zip(
        code.images(copy.deepcopy(theirs).double(), wide), fuse_batch_norms(copy.deepcopy(ours).double())(*wide).images, strict=True
    )
    difference = max(float((a - b).abs().max()) for a, b in pairs)
    code.images(theirs, inputs), fast(*inputs)  # to warm up
    calls = (lambda: code.images(theirs, inputs), lambda: generated(fast, inputs, torch.float32, CPU))
    return _timed(*calls, seconds) | {"difference": difference}


def time_step(code: AttentionCode | DFGANCode, config: Config, seconds: float, folder: Path) -> dict | None:
    """CPU seconds a training step, and the largest relative difference of the first one's losses; None where theirs cannot run here."""
    if not isinstance(code, AttentionCode):
        return None
    ours = GanStep(config, *random_encoders(config, folder))
    theirs = AttentionStep(code, ours)
    first, own = theirs.update(0), ours.update(0)
    apart = max(abs(value - own[term]) / max(abs(value), 1e-3) for term, value in first.items())
    return _timed(lambda: theirs.update(1), lambda: ours.update(1), seconds) | {"loss_difference": apart}


def bench_against(path: str | os.PathLike, system: str | None, sizes: tuple[str, ...], seconds: float, batch: int | None) -> dict:
    """A checkout beside ours, one thread, on the CPU. The checkout's code is run.

    Args:
        path: the checkout.
        system: which of ``attngan``, ``dmgan``, ``dfgan`` it is; None: the one whose files it has.
        sizes: some of :data:`dmm.bench.systems.SIZES`, with the published code's ratio of widths: the first for all, of DF-GAN 4, 2, 1.
        seconds: CPU time for each of a row's measurements.
        batch: captions at a time, 4 by default.

    Returns:
        ``machine``, ``threads``, ``published`` (its name), ``system``, and ``rows``: size, batch, generation, training.

    Raises:
        InputError: a checkout that lacks a file, cannot be run, or whose networks are not those that were published.
    """
    folder, batch = Path(path), 4 if batch is None else batch
    adapter = find_adapter(folder, system)
    if batch < 2:
        raise ConfigError(f"--batch: expected at least 2, without which there are no mismatching pairs, found {batch}")
    rows, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as cache, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old calls of theirs
            for size in sizes:
                config = against_config(adapter.system, size, batch, cache)
                code = adapter.code(folder, config)
                row = {"size": size, "batch": batch, "generation": time_generation(code, config, seconds)}
                rows.append(row | {"training": time_step(code, config, seconds, Path(cache) / size)})
    except ConfigError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"--against: {folder} does not run as the published {adapter.name} does: {said}") from error
    finally:
        torch.set_num_threads(threads)
    return {"machine": machine(), "threads": 1, "published": adapter.name, "system": adapter.system, "rows": rows}


def same(result: dict) -> bool:
    """Did both generate the same pictures at every size?"""
    return all(row["generation"]["difference"] <= SAME for row in result["rows"])


def table(result: dict) -> str:
    """The figures of :func:`bench_against` in words and columns."""
    lines = [f"{result['machine']}; 1 thread, CPU seconds; {result['published']} as published beside {result['system']}"]
    half = f"{'published':>10} {'ours':>8} {'ratio':>6}"
    lines.append(f"{'':16} {'a batch generated':<42} a training step")
    lines.append(f"{'size':<10} {'batch':>5} {half} {'max diff, float64':>18} {half} {'losses':>8}")
    for row in result["rows"]:
        generation, training = row["generation"], row["training"]
        line = f"{row['size']:<10} {row['batch']:>5} {_half(generation)} {generation['difference']:>18.1e}"
        line += f" {_half(training)} {training['loss_difference']:>8.1e}" if training else "  not without a GPU"
        lines.append(line + ("" if generation["difference"] <= SAME else "  pictures differ"))
    return "\n".join(lines)


def _half(found: dict) -> str:
    return f"{found['published']:>10.3f} {found['ours']:>8.3f} {found['ratio']:>6.2f}"
