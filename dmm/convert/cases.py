"""Replay a reference case: published weights and inputs through this project's own networks, losses and optimisation step.

A case is one ``.safetensors`` file with ``weights/``, ``in/``, ``out/`` and ``mid/`` tensors and its hyper-parameters as metadata. Each
kind of case has one function here that returns what this project computes, under the file's names; :func:`replay` compares. A system
plugs in as one row of :data:`SYSTEMS`, a kind of case as one row of :data:`KINDS`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dmm.convert.keys import CAPTION_DECODER, DMMGAN_GENERATOR, TEXT_ENCODER, ConvertError, KeyTable, discriminator_table, load_upstream
from dmm.data.vocab import Vocabulary
from dmm.images import to_float
from dmm.losses.adversarial import discriminator_loss, generator_loss
from dmm.losses.damsm import damsm_loss
from dmm.losses.kl import kl_loss
from dmm.losses.stream import caption_loss, stream_loss
from dmm.matching import mask_same_class, matching_losses, region_attention, sentence_scores, word_scores
from dmm.models.captioner import CaptionDecoder, Captioner
from dmm.models.discriminators import SIZES, Discriminator
from dmm.models.dmmgan import DMMGAN
from dmm.models.memory import KeyAddressing, ValueReading, paired_sample
from dmm.models.spectral import SpectralConv2d
from dmm.models.text_encoder import TextEncoder
from dmm.trace import Trace

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One file, read: tensors by name and hyper-parameters ``hp``; floats in the precision of the replay."""

    tensors: Tensors
    hp: dict

    @classmethod
    def read(cls, path: str | os.PathLike, dtype: torch.dtype) -> Case:
        """Read a case.

        Raises:
            ConvertError: not a safetensors file, or one without hyper-parameters.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, OSError) as error:
            raise ConvertError(f"{path}: expected a safetensors file, found {error}") from None
        if "hp" not in metadata:
            raise ConvertError(f"{path}: expected hyper-parameters under the metadata key 'hp', found {sorted(metadata) or 'none'}")
        return cls({name: _cast(value, dtype) for name, value in tensors.items()}, json.loads(metadata["hp"]))

    def __getitem__(self, name: str) -> Tensor:
        """The input ``in/<name>``."""
        return self.tensors[f"in/{name}"]

    def below(self, prefix: str) -> Tensors:
        """Every tensor under a prefix, by the rest of its name."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}

    def expected(self) -> Tensors:
        """What the replay has to reproduce: every ``out/`` and ``mid/`` tensor."""
        return {name: value for name, value in self.tensors.items() if name.startswith(("out/", "mid/"))}

    def real(self, size: int) -> Tensor:
        """Real pictures B 3 S S; converted in float32, as the published data are."""
        return to_float(self[f"real{size}_u8"]).to(self.dtype)

    def fake(self, size: int) -> Tensor:
        """The stand-in for painted pictures: real ones of the sample before, mirrored."""
        return self.real(size).roll(1, 0).flip(3)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the replay."""
        return next(value.dtype for value in self.tensors.values() if value.is_floating_point())


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if value.is_floating_point() else value


@dataclass(frozen=True)
class System:
    """How one published system is built and named."""

    generator: Callable[[dict], nn.Module]  # hyper-parameters -> our generator
    generator_keys: KeyTable
    norm: str  # of the discriminators
    discriminator_keys: Callable[[int], KeyTable]  # by picture size


def _dmmgan(hp: Mapping) -> DMMGAN:
    return DMMGAN(
        text_dim=hp["EMBEDDING_DIM"],
        condition_dim=hp["CONDITION_DIM"],
        noise_dim=hp["Z_DIM"],
        widths=(hp["GF_DIM"],) * 3,
        residuals=hp["R_NUM"],
        global_memory=hp["INCLUDE_GL_DM"],
        mask_pairing="published",
    )


SYSTEMS = {name: System(_dmmgan, DMMGAN_GENERATOR, "spectral", discriminator_table) for name in ("dmmgan_gldm", "dmmgan_nogldm")}


def _load(case: Case, network: nn.Module, prefix: str, table: KeyTable) -> nn.Module:
    return load_upstream(network.to(case.dtype), case.below(prefix), table)


def _generator(case: Case, prefix: str) -> nn.Module:
    system = SYSTEMS[case.hp["system"]]
    return _load(case, system.generator(case.hp), prefix, system.generator_keys)


def _discriminators(case: Case) -> dict[int, Discriminator]:
    """Fresh from the stored weights, in training mode."""
    system, hp = SYSTEMS[case.hp["system"]], case.hp
    built = {size: Discriminator(size, hp["DF_DIM"], hp["EMBEDDING_DIM"], system.norm) for size in SIZES}
    return {size: _load(case, net, f"weights/D{size}/", system.discriminator_keys(size)) for size, net in built.items()}


def _upstream_state(network: nn.Module, weights: Mapping[str, Tensor], table: KeyTable) -> Tensors:
    """A network's numbers under the upstream keys of ``weights``; what has no place in ours stays as it was."""
    state = network.state_dict()
    return {key: before if table.ours(key) is None else state[table.ours(key)].clone() for key, before in weights.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


# --- generators -------------------------------------------------------------------------------------------------------

TRACE_NAMES = {  # field of a stage's trace -> name in the files
    "hidden": "out",
    "writing_gate": "writing_gate",
    "memory": "memory",
    "key": "key",
    "value": "value",
    "response": "memory_out",
    "response_gate": "response_gate",
    "global_gate": "writing_gate_c",
    "global_memory": "memory_c",
    "global_key": "key_c",
    "global_value": "value_c",
    "global_weights": "att_c",
    "global_response": "memory_out_c",
}
MODULE_NAMES = {  # module of a refinement stage -> name in the files of its output
    "word_projection": "M_w",
    "image_projection": "M_r",
    "global_memory.code_projection": "M_c",
    "response": "residual_in",
}


@contextmanager
def _watch(generator: nn.Module) -> Iterator[Tensors]:
    """The outputs of the modules of :data:`MODULE_NAMES`, by stage, and what enters each stage's last up block."""
    seen: Tensors = {}
    hooks = []
    for stage, refinement in enumerate(generator.refinements, start=2):
        modules = dict(refinement.named_modules())
        for path, name in MODULE_NAMES.items():
            if path in modules:
                hooks.append(modules[path].register_forward_hook(_keep(seen, f"h_net{stage}/{name}")))
        hooks.append(refinement.up.register_forward_hook(_keep(seen, f"h_net{stage}/residual_out", of_input=True)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _keep(seen: Tensors, name: str, of_input: bool = False):
    def hook(module, inputs, output):
        seen[name] = inputs[0] if of_input else output

    return hook


def _generate(case: Case, generator: nn.Module) -> Trace:
    return generator(case["sent_emb"], case["word_embs"], case["mask"], case["z"], case["eps"])


def _generator_pass(case: Case, train: bool) -> Tensors:
    mode = "train" if train else "eval"
    generator = _generator(case, "weights/").train(train)
    with torch.no_grad(), _watch(generator) as seen:
        trace = _generate(case, generator)
    out = {f"img{i}": stage.image for i, stage in enumerate(trace.stages, start=1)}
    out |= {f"att{i}": stage.addressing for i, stage in enumerate(trace.stages[1:], start=1)}
    out |= {"mu": trace.mean, "logvar": trace.logvar}
    steps = case["mask"].shape[1]
    mid = {"c_code": trace.code}
    for i, stage in enumerate(trace.stages, start=1):
        mid |= {f"h_net{i}/{name}": value for field, name in TRACE_NAMES.items() if (value := getattr(stage, field)) is not None}
    for name, value in seen.items():
        if name.endswith("/M_r"):
            value = value.expand(-1, -1, steps)  # stored repeated over the words
        if name.endswith("/residual_in"):
            value = torch.cat((value, value), dim=1)  # stored as the residual blocks see it
        mid[name] = value
    produced = _under(f"out/{mode}", out) | _under(f"mid/{mode}", mid)
    if train:
        produced |= _under("out/train/bn", _upstream_state(generator, case.below("weights/"), SYSTEMS[case.hp["system"]].generator_keys))
    return produced


def replay_generator(case: Case) -> Tensors:
    """Pictures and intermediates in both modes, and batch-norm buffers after the training pass."""
    return _generator_pass(case, train=False) | _generator_pass(case, train=True)


# --- discriminators and losses ----------------------------------------------------------------------------------------


class StandInEncoder(nn.Module):
    """The files' stand-in for the DAMSM image encoder: a linear map of 17x17 average-pooled pixels, another of 4x4."""

    def __init__(self, weights: Tensors):
        super().__init__()
        self.regions, self.code = weights["feat_weight"], weights["code_weight"]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions = torch.einsum("dc,bchw->bdhw", self.regions, F.adaptive_avg_pool2d(images, 17))
        return regions, F.adaptive_avg_pool2d(images, 4).flatten(1) @ self.code.T


class StandInCaptionEncoder(nn.Module):
    """The files' stand-in for the caption encoder: a linear map of 8x8 average-pooled pixels."""

    def __init__(self, weights: Tensors):
        super().__init__()
        self.weight, self.bias = weights["weight"], weights["bias"]

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        return None, F.linear(F.adaptive_avg_pool2d(images, 8).flatten(1), self.weight, self.bias)


def _caption_decoder(case: Case, prefix: str) -> CaptionDecoder:
    sizes = case.hp["CAP"]
    decoder = CaptionDecoder(sizes["vocab"], sizes["embed_size"], sizes["hidden"], sizes["num_layers"])
    return _load(case, decoder, prefix, CAPTION_DECODER)


def _captioner(case: Case) -> Captioner:
    return Captioner(StandInCaptionEncoder(case.below("weights/capcnn/")), _caption_decoder(case, "weights/CAPTION_RNN/"))


def _text_loss(case: Case, images: Tensor, kind: str) -> tuple[Tensor, Tensors]:
    """The weighted text loss of a generator, and its unweighted parts by the files' names."""
    if kind == "stream":
        loss = stream_loss(_captioner(case), images, case["captions"], case["cap_lens"])["total"]
        return case.hp["LAMBDA_STREAM"] * loss, {"caption_ce": loss}
    encoder = StandInEncoder(case.below("weights/imgenc/"))
    gammas = [case.hp[f"GAMMA{i}"] for i in (1, 2, 3)]
    parts = damsm_loss(encoder, images, case["word_embs"], case["sent_emb"], case["cap_lens"], case["class_ids"], *gammas)
    return case.hp["LAMBDA_DAMSM"] * parts["total"], _damsm_names(parts)


def _damsm_names(parts: Mapping[str, Tensor]) -> Tensors:
    return {f"{name[0]}_loss{name[-1]}": value for name, value in parts.items() if name != "total"}


def _discriminator_names(parts: Mapping[str, Tensor]) -> Tensors:
    return {"errD" if name == "total" else name: value for name, value in parts.items()}


def _generator_terms(case: Case, nets: Mapping[int, Discriminator], images: Mapping[int, Tensor], text: str) -> tuple[Tensor, Tensors]:
    """A generator's loss without the KL term, and every part by the files' names."""
    total, produced = 0.0, {}
    for size, net in nets.items():
        parts = generator_loss(net, images[size], case["sent_emb"])
        total = total + parts["total"]
        produced |= {f"D{size}/G_cond": parts["cond"], f"D{size}/G_uncond": parts["uncond"]}
    weighted, parts = _text_loss(case, images[max(images)], text)
    total = total + weighted
    return total, produced | parts | {"errG_total_without_kl": total}


def _discriminator_pass(case: Case, train: bool) -> Tensors:
    mode, table = "train" if train else "eval", SYSTEMS[case.hp["system"]].discriminator_keys
    produced = {}
    for size, net in _discriminators(case).items():
        net.train(train)
        features = net.features(case.real(size))
        logits = {"cond": net.conditional(features, case["sent_emb"]), "uncond": net.unconditional(features)}
        out = {"features": features}
        for head, logit in logits.items():
            out |= {f"{head}_logit": logit, f"{head}_prob": logit.sigmoid()}
        if train:
            out |= _under("after", _upstream_state(net, case.below(f"weights/D{size}/"), table(size)))
        produced |= _under(f"out/{mode}/D{size}", out)
    return produced


@torch.no_grad()
def replay_discriminators(case: Case) -> Tensors:
    """Features and logits in both modes, power iterations, and every loss; each group starts from the stored weights."""
    produced = _discriminator_pass(case, train=False) | _discriminator_pass(case, train=True)
    for size, net in _discriminators(case).items():
        parts = discriminator_loss(net, case.real(size), case.fake(size), case["sent_emb"])
        produced |= _under(f"out/loss/D{size}", _discriminator_names(parts))
    fakes = {size: case.fake(size) for size in SIZES}
    for group, text in (("loss", "stream"), ("loss_damsm", "damsm")):
        produced |= _under(f"out/{group}", _generator_terms(case, _discriminators(case), fakes, text)[1])
    return produced


# --- one optimisation step --------------------------------------------------------------------------------------------


def _gradients(network: nn.Module, weights: Mapping[str, Tensor], table: KeyTable) -> Tensors:
    grads = {name: parameter.grad for name, parameter in network.named_parameters()}
    found = {key: grads.get(table.ours(key)) for key in weights if table.ours(key) is not None}
    return {key: grad.clone() for key, grad in found.items() if grad is not None}


def _adam(network: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999), eps=1e-8)


def _update_discriminator(case: Case, net: Discriminator, size: int, fake: Tensor) -> Tensors:
    net.zero_grad()
    parts = discriminator_loss(net, case.real(size), fake, case["sent_emb"])
    parts["total"].backward()
    return _under(f"out/loss/D{size}", _discriminator_names(parts))


def _aliased_gradients(case: Case, fakes: Mapping[int, Tensor]) -> Tensors:
    """The discriminators' gradients as the published code has them on current PyTorch; see :mod:`dmm.models.spectral`."""
    table, produced = SYSTEMS[case.hp["system"]].discriminator_keys, {}
    for size, net in _discriminators(case).items():
        for module in net.modules():
            if isinstance(module, SpectralConv2d):
                module.alias_vectors = True
        _update_discriminator(case, net, size, fakes[size])
        produced |= _under(f"mid/gradD_aliased_uv/D{size}", _gradients(net, case.below(f"weights/D{size}/"), table(size)))
    return produced


def replay_step(case: Case) -> Tensors:
    """Generator forward, each discriminator's update, the generator's update through them, and the average."""
    hp, system = case.hp, SYSTEMS[case.hp["system"]]
    generator, nets = _generator(case, "weights/G/").train(), _discriminators(case)
    trace = _generate(case, generator)
    images = {stage.size: stage.image for stage in trace.stages}
    produced = _aliased_gradients(case, images)
    for size, net in nets.items():
        optimiser, weights = _adam(net, hp["lr_d"]), case.below(f"weights/D{size}/")
        produced |= _update_discriminator(case, net, size, images[size])
        produced |= _under(f"mid/gradD/D{size}", _gradients(net, weights, system.discriminator_keys(size)))
        optimiser.step()
    optimiser, weights = _adam(generator, hp["lr_g"]), case.below("weights/G/")
    total, parts = _generator_terms(case, nets, images, "stream")
    kl = kl_loss(trace.mean, trace.logvar)
    (total + kl).backward()
    produced |= _under("out/loss", parts | {"kl": kl, "errG_total": total + kl})
    produced |= _under("mid/gradG", _gradients(generator, weights, system.generator_keys))
    optimiser.step()
    after = _upstream_state(generator, weights, system.generator_keys)
    produced |= _under("out/G", after)
    produced |= _under("out/ema", {key: 0.999 * weights[key] + 0.001 * value for key, value in after.items()})
    for size, net in nets.items():
        produced |= _under(f"out/D{size}", _upstream_state(net, case.below(f"weights/D{size}/"), system.discriminator_keys(size)))
    return produced


# --- text, matching, attention ----------------------------------------------------------------------------------------


@torch.no_grad()
def replay_text(case: Case) -> Tensors:
    """Word and sentence features and the generator's mask, under both conventions of special tokens."""
    hp, produced = case.hp, {}
    encoder = _load(case, TextEncoder(hp["vocab"], hp["ninput"], hp["EMBEDDING_DIM"]), "weights/", TEXT_ENCODER).eval()
    for convention in ("dmm", "pad0"):
        captions = case[f"captions_{convention}"]
        words, sentence = encoder(captions, case["cap_lens"])
        mask = Vocabulary([], convention).mask(captions)[:, : words.shape[2]]
        produced |= _under(f"out/{convention}", {"words_emb": words, "sent_emb": sentence, "mask": mask})
    return produced


@torch.no_grad()
def replay_caption(case: Case) -> Tensors:
    """Logits and targets in packed (time-major) order, the caption loss, and greedy decoding."""
    decoder = _caption_decoder(case, "weights/")
    captions, lengths = case["captions"], case["cap_lens"]
    logits = decoder(case["features"], captions, lengths)  # B T V
    steps = torch.arange(logits.shape[1])
    running = steps[:, None] < lengths[None]  # T B
    return {
        "out/batch_sizes": running.sum(1),
        "out/packed_logits": logits.transpose(0, 1)[running],
        "out/packed_targets": captions.T[: len(steps)][running],
        "out/caption_loss": caption_loss(logits, captions, lengths),
        "out/sample_ids": decoder.greedy(case["features"], 20),
    }


@torch.no_grad()
def replay_damsm(case: Case) -> Tensors:
    """Scores, losses and attention maps with and without classes, and the KL."""
    gammas = [case.hp[f"GAMMA{i}"] for i in (1, 2, 3)]
    regions, code = case["img_features"], case["cnn_code"]
    words, sentence, lengths = case["words_emb"], case["sent_emb"], case["cap_lens"]
    produced = {"out/kl_loss": kl_loss(case["mu"], case["logvar"])}
    for group, class_ids in (("no_class", None), ("class", case["class_ids"])):
        by_words = mask_same_class(gammas[2] * word_scores(regions, words, lengths, *gammas[:2]), class_ids)
        by_sentence = mask_same_class(gammas[2] * sentence_scores(code, sentence), class_ids)
        parts = matching_losses(regions, code, words, sentence, lengths, class_ids, *gammas)
        produced |= _under(f"out/{group}", {"words_scores": by_words, "sent_scores": by_sentence} | _damsm_names(parts))
    attention, _ = region_attention(regions, words, lengths, gammas[0])
    produced |= {f"out/att_map{i}": attention[i : i + 1, :length] for i, length in enumerate(lengths.tolist())}
    shortest = int(lengths.min())
    attention, context = region_attention(regions, words[:, :, :shortest], lengths.clamp(max=shortest), gammas[0])
    return produced | {"out/func_attention/attn": attention, "out/func_attention/weighted_context": context}


@torch.no_grad()
def replay_mask(case: Case) -> Tensors:
    """Attention under the published pairing of masks, and under the right one."""
    produced = {}
    for batch in case.hp["batches"]:
        query, key, value, mask = (case[f"b{batch}/{name}"] for name in ("query", "key", "value", "mask"))
        out = {"mask_sample_used": paired_sample(batch, query[0, 0].numel()).view(batch, *query.shape[2:])}
        for pairing, suffix in (("published", ""), ("right", "_each_alone")):
            attention = KeyAddressing(pairing)(query, key, mask)
            out |= {f"att{suffix}": attention, f"memory_out{suffix}": ValueReading()(attention, value)}
        produced |= _under(f"out/b{batch}", out)
    return produced


KINDS: dict[str, Callable[[Case], Tensors]] = {
    "generator": replay_generator,
    "discriminators": replay_discriminators,
    "step": replay_step,
    "text": replay_text,
    "caption": replay_caption,
    "damsm": replay_damsm,
    "mask": replay_mask,
}


# --- comparison -------------------------------------------------------------------------------------------------------


def difference(found: Tensor | None, expected: Tensor) -> float:
    """Largest |found - expected| relative to max(1, largest finite |expected|); infinite for another shape, NaN or infinity."""
    if found is None or found.shape != expected.shape:
        return float("inf")
    found, expected = found.detach().double(), expected.double()
    if not len(expected.flatten()):
        return 0.0
    gap = torch.where(found == expected, torch.zeros_like(expected), (found - expected).abs())  # equal infinities agree
    gap = gap.nan_to_num(nan=float("inf"), posinf=float("inf"))
    finite = expected[expected.isfinite()].abs()
    return float(gap.max()) / max(1.0, float(finite.max()) if len(finite) else 0.0)


def _reduced(produced: Tensors, name: str) -> Tensor | None:
    """A produced tensor by its name in the file, sub-sampled or averaged as the name's ending says."""
    base, _, ending = name.rpartition("__")
    if name in produced or base not in produced:
        return produced.get(name)
    value = produced[base]
    return value[..., ::5, ::5] if ending == "s5" else value.mean((-2, -1)) if ending == "mean" else None


def replay(path: str | os.PathLike, dtype: torch.dtype = torch.float64) -> dict[str, float]:
    """Replay a case file and compare.

    Args:
        path: a ``.safetensors`` case.
        dtype: precision of the replay; the stored results are float64 results rounded to float32.

    Returns:
        for each ``out/`` and ``mid/`` tensor of the file its largest difference (see :func:`difference`).

    Raises:
        ConvertError: not a case, a kind or system that is not known, or weights that do not fit.
    """
    case = Case.read(path, dtype)
    kind, system = case.hp.get("kind"), case.hp.get("system")
    if kind not in KINDS:
        raise ConvertError(f"{path}: expected a case of kind {', '.join(KINDS)}, found {kind!r}")
    if system is not None and system not in SYSTEMS:
        raise ConvertError(f"{path}: expected a system of {', '.join(SYSTEMS)}, found {system!r}")
    produced = KINDS[kind](case)
    return {name: difference(_reduced(produced, name), value) for name, value in case.expected().items()}


def tolerance(name: str, dtype: torch.dtype, step: bool = False) -> float:
    """How far a tensor may be off: 1e-6 in float64; in float32 3e-5, 1e-4 for gradients, and 4e-4 for weights after a step.

    The first step of Adam moves each weight by nearly the rate times the gradient's sign, so a float32 gradient at rounding level may
    turn a weight by twice the rate.
    """
    if dtype == torch.float64:
        return 1e-6
    if name.startswith("mid/grad"):
        return 1e-4
    return 4e-4 + 3e-5 if step and name.startswith(("out/G/", "out/D", "out/ema/")) else 3e-5
