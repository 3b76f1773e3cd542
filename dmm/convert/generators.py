"""Replay of the multi-stage generators: pictures, every intermediate that a file names, and batch-norm buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dmm.convert.reference_case import Case, Tensors, register_case, there, under, upstream_state
from dmm.convert.systems import SYSTEMS, case_generator, system_of
from dmm.models.multistage import MultiStage
from dmm.trace import Trace

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
    "word_context": "weighted_context",
    "sentence_attention": "sent_att",
    "sentence_context": "weighted_sentence",
}
MODULE_NAMES = {  # module of a refinement stage -> name in the files of its output
    "word_projection": "M_w",
    "image_projection": "M_r",
    "global_memory.code_projection": "M_c",
    "fusion": "conv",
    "joint": "jointConv",
}


@contextmanager
def watched(generator: MultiStage) -> Iterator[Tensors]:
    """The outputs of the modules of :data:`MODULE_NAMES`, by stage, and what enters and leaves each stage's residual blocks."""
    seen: Tensors = {}
    hooks = []
    for stage, refinement in enumerate(generator.refinements, start=2):
        modules = dict(refinement.named_modules())
        for path, name in MODULE_NAMES.items():
            if path in modules:
                hooks.append(modules[path].register_forward_hook(_keep_output(seen, f"h_net{stage}/{name}")))
        first = refinement.residuals[0] if len(refinement.residuals) else refinement.up
        hooks.append(first.register_forward_pre_hook(_keep_input(seen, f"h_net{stage}/residual_in"), with_kwargs=True))
        hooks.append(refinement.up.register_forward_pre_hook(_keep_input(seen, f"h_net{stage}/residual_out"), with_kwargs=True))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _keep_output(seen: Tensors, name: str):
    def hook(module, inputs, output):
        seen[name] = output

    return hook


def _keep_input(seen: Tensors, name: str):
    def hook(module, inputs, options):
        (x,) = inputs
        seen[name] = torch.cat((x, x), dim=1) if options.get("doubled") else x

    return hook


def generate(case: Case, generator: nn.Module) -> Trace:
    """The case's text and noise through a generator; StackGAN++ has a sentence only."""
    if "in/text_embedding" in case.tensors:
        return generator(case["text_embedding"], None, None, case["z"], case["eps"])
    return generator(case["sent_emb"], case["word_embs"], case["mask"], case["z"], case["eps"])


def _attention(trace: Trace) -> Tensors:
    """How much each place asks each word, from 64x64 on; nothing for a system without attention."""
    maps = (stage.word_attention if stage.addressing is None else stage.addressing for stage in trace.stages[1:])
    return {f"att{i}": value for i, value in enumerate(maps, start=1) if value is not None}


def _intermediates(trace: Trace, seen: Tensors) -> Tensors:
    mid = there({"c_code": trace.code}) | seen
    for i, stage in enumerate(trace.stages, start=1):
        mid |= {f"h_net{i}/{name}": value for field, name in TRACE_NAMES.items() if (value := getattr(stage, field)) is not None}
        slot = mid.get(f"h_net{i}/M_r")
        if slot is not None and trace.mask is not None:
            mid[f"h_net{i}/M_r"] = slot.expand(-1, -1, trace.mask.shape[1])  # stored repeated over the words
    return mid


def _pass(case: Case, train: bool) -> Tensors:
    mode = "train" if train else "eval"
    generator = case_generator(case, "weights/").train(train)
    with torch.no_grad(), watched(generator) as seen:
        trace = generate(case, generator)
    out = {f"img{i}": image for i, image in enumerate(trace.images, start=1)} | _attention(trace)
    out |= there({"mu": trace.mean, "logvar": trace.logvar})
    produced = under(f"out/{mode}", out) | under(f"mid/{mode}", _intermediates(trace, seen))
    if train:
        produced |= under("out/train/bn", upstream_state(generator, case.below("weights/"), system_of(case).generator_keys))
    return produced


@register_case("generator", *SYSTEMS)
def replay_generator(case: Case) -> Tensors:
    """Pictures and intermediates in both modes, and batch-norm buffers after the training pass."""
    return _pass(case, train=False) | _pass(case, train=True)
