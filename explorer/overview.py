"""The network that generated a caption, drawn from the model's own parts, with the numbers of this caption.

:func:`parts` walks the modules of a pipeline; what a module is called and which equation it is stands in :data:`PIECES`, what it computed
comes from the trace. A system without a part has no box for it, and :func:`missing` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from dmm.trace import StageTrace, Trace
from explorer import slots
from explorer.page_html import text
from explorer.statistics import chips, evenness, has, maps_of, required_maps, response_shares, short, word_indices


@dataclass(frozen=True)
class Piece:
    """One module of a part: its name, its equation, and what it computed."""

    name: str
    equation: str
    number: str


@dataclass(frozen=True)
class Part:
    """One box of the drawing."""

    name: str  # in the page's addresses
    title: str
    number: str  # shown in the box
    pieces: tuple[Piece, ...]
    panel: str  # CSS selector of where the page shows it; empty where it does not


@dataclass(frozen=True)
class _Kind:
    """What is known of a class of modules: its name, its equation, and how its number is read from a stage of a trace."""

    name: str
    equation: str
    number: Callable[[Trace, int], str]


def _gate(trace: Trace, stage: int) -> str:
    row = chips(trace, stage, "writing_gate")
    most = min(row, key=lambda chip: chip.rank)
    return f"mean {short(sum(chip.value for chip in row) / len(row))}, largest {short(most.value)} for “{most.word}”"


def _slots(trace: Trace, stage: int) -> str:
    memory = trace.stages[stage].memory
    return "" if memory is None else f"{len(word_indices(trace))} slots of {memory.shape[1]} numbers"


def _even(trace: Trace, stage: int) -> str:
    quantity = required_maps(trace, stage)
    height, width = trace.stages[stage].quantity(quantity).shape[-2:]
    even = evenness(trace, stage, quantity)
    return f"{height} × {width} places, " + (f"evenness {short(even)}" if even == even else "one word")


def _answers(trace: Trace, stage: int) -> str:
    return ", ".join(f"{name} {short(share)}" for name, share in response_shares(trace, stage).items())


def _global(trace: Trace, stage: int) -> str:
    record = trace.stages[stage]
    gate = "" if record.global_gate is None else f"writing gate {short(float(record.global_gate.mean()))}"
    return gate or f"{record.quantity('global_weights').shape[1]} channels"


def _affine(trace: Trace, stage: int) -> str:
    affines = trace.stages[stage].affines or []
    scales = [float(pair[:, 0].abs().mean()) for pair in affines]
    return f"{len(affines)} layers, mean |scale| {short(min(scales))} to {short(max(scales))}" if scales else ""


def _nothing(_trace: Trace, _stage: int) -> str:
    return ""


#: Class of a module -> what it is. Equations of DM-GAN unless another paper is named; AttnGAN's word attention is its Eq. 2.
PIECES: dict[str, _Kind] = {
    "WritingGate": _Kind("writing gate", "Eq. 7: g = sigmoid(A w + B mean(r))", _gate),
    "MemoryWriting": _Kind("gated memory writing", "Eq. 8: m = M_w(w) g + M_r(mean(r)) (1 - g)", _slots),
    "KeyAddressing": _Kind("key addressing", "Eq. 4: softmax over the words of key(m) · r", _even),
    "ValueReading": _Kind("value reading", "Eq. 5: sum over the words of addressing × value(m)", _nothing),
    "GlobalMemory": _Kind("global memory", "by name (DMM-GAN): one slot, written from the sentence code; a softmax over channels", _global),
    "ResponseGate": _Kind("response gate", "Eq. 9: shares of image, words and, where there is one, global memory", _answers),
    "Concatenation": _Kind("response", "Eq. 6: what was read, concatenated with the image features", _nothing),
    "WordProjection": _Kind("word projection", "AttnGAN, Eq. 2: words in the image's space", _nothing),
    "SentenceAttention": _Kind("sentence attention", "by name (MirrorGAN): a softmax over the channels", _nothing),
    "Joint": _Kind("joining", "by name (StackGAN and StackGAN++): the code is laid beside every place of the map", _nothing),
}
ATTENTION = _Kind("word attention", "AttnGAN, Eq. 2: softmax over the words of projected word · r", _even)
CONTEXT = _Kind("word context", "AttnGAN, Eq. 2: sum over the words of attention × projected word", _nothing)
UNGATED = _Kind("memory writing", "Eq. 3: m = M(w), without a gate", _slots)


def parts(pipe, trace: Trace) -> list[Part]:
    """The boxes of a pipeline, in the order in which numbers flow.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        trace: that it generated, a batch of one.
    """
    generator, words = pipe.generator, word_indices(trace)
    channels = pipe.config.text_dim
    found = [
        Part("text", "Text encoder", f"{len(words)} words", (Piece("word features", f"Eq. 1: {channels} numbers each", ""),), ".ex-caption")
    ]
    if trace.code is not None and trace.logvar is not None:
        spread = float(trace.logvar.exp().sqrt().mean())
        code = Piece("conditioning augmentation", "Eq. 13 is its loss: c = mu + sigma eps", f"mean sigma {short(spread)}")
        found.append(Part("code", "Sentence code", f"{trace.code.shape[1]} numbers", (code,), ".ex-caption"))
    refinements = list(getattr(generator, "refinements", ()))
    found.append(_first(generator, trace))
    found += [_refinement(module, trace, number) for number, module in enumerate(refinements, 1)]
    if pipe.captioner is not None:
        found.append(_captioner(trace))
    return found


def _first(generator: nn.Module, trace: Trace) -> Part:
    """The stage that generates from sentence and noise alone."""
    stage = trace.stages[0]
    pieces: tuple[Piece, ...]
    blocks = len(getattr(generator, "blocks", ()))
    if stage.affines is not None:
        conditional = Piece("conditional affine layers", "by name (DF-GAN): scale and shift from noise and sentence", _affine(trace, 0))
        pieces = (Piece("upsampling blocks", "by name (DF-GAN)", f"{blocks}"), conditional)
    else:
        pieces = (Piece("initial stage", "Eq. 2: the first image features R", "from code and noise"),)
    return Part("stage-0", _named(stage), "no word is read", pieces, _panel(stage, 0))


def _named(stage: StageTrace, role: str = "Picture") -> str:
    """A stage by what it gives: a picture, or a map for the next stage alone."""
    return f"{role if stage.image is not None or role != 'Picture' else 'Map'} {stage.size or stage.quantity('hidden').shape[-1]}"


def _panel(stage: StageTrace, number: int) -> str:
    return "" if stage.image is None else f'[data-stage="{number}"]'


def _refinement(module: nn.Module, trace: Trace, number: int) -> Part:
    """A refinement stage, by the modules that it has."""
    stage, kinds = trace.stages[number], []
    children = dict(module.named_children())
    for name, child in children.items():
        kind = PIECES.get(type(child).__name__)
        attends = stage.word_attention is not None and type(child).__name__ in ("KeyAddressing", "ValueReading")
        if attends:
            kind = ATTENTION if type(child).__name__ == "KeyAddressing" else CONTEXT
        if name == "word_projection" and kind is None and "writing" not in children:
            kind = UNGATED
        if kind is not None:
            kinds.append(kind)
    pieces = tuple(Piece(kind.name, kind.equation, kind.number(trace, number)) for kind in kinds)
    role = "Memory" if stage.memory is not None else "Attention" if maps_of(trace, number) else "Joining"
    return Part(f"stage-{number}", _named(stage, role), _headline(trace, number), pieces, _panel(stage, number))


def _headline(trace: Trace, number: int) -> str:
    """The number of a refinement stage that says most in a box."""
    if trace.stages[number].response_gate is not None:
        shares = response_shares(trace, number)
        return f"words {short(shares['words'])}" + (f", global {short(shares['global'])}" if "global" in shares else "")
    return _even(trace, number) if maps_of(trace, number) else "reads the code"


def _captioner(trace: Trace) -> Part:
    """STREAM, with what it reads back from the last picture."""
    sentence = (trace.stages[-1].redescription or [""])[0]
    rows = slots.compare(trace.caption(), sentence)
    piece = Piece("redescription", "by name (STREAM)", f"“{sentence}”")
    agreeing, named = sum(row.verdict == slots.AGREES for row in rows), sum(row.verdict != slots.ADDED for row in rows)
    said = f"{agreeing} of {named} attributes as said" if named else "no attribute is named"
    return Part("stream", "STREAM", said, (piece,), ".ex-stage:last-child .ex-stream")


def missing(pipe, trace: Trace) -> list[str]:
    """What the family has and this system has not, as it is said."""
    stages = range(len(trace.stages))
    there = {
        "a second stage": len(trace.stages) > 1,
        "words read by its stages": any(maps_of(trace, k) for k in stages),
        "a writing gate": any(has(trace, k, "writing_gate") for k in stages),
        "a response gate": any(trace.stages[k].response_gate is not None for k in stages),
        "a global memory": any(trace.stages[k].global_weights is not None for k in stages),
        "a captioner (STREAM)": pipe.captioner is not None,
    }
    return [name for name, has_it in there.items() if not has_it]


def render(found: Sequence[Part], lacking: Sequence[str] = ()) -> str:
    """The boxes as HTML; each is a button that opens its equations and numbers below."""
    boxes = "".join(
        f'<li><button type="button" class="ex-part" data-part="{part.name}" aria-expanded="false" aria-controls="ex-part-{part.name}">'
        f"<b>{text(part.title)}</b><span>{text(part.number)}</span></button></li>"
        for part in found
    )
    more = "".join(_more(part) for part in found)
    lacks = f'<p class="ex-lacks">This system does not have {text(", ".join(lacking))}.</p>' if lacking else ""
    return f'<section class="ex-flow" aria-label="The network and its numbers"><ol>{boxes}</ol>{more}{lacks}</section>'


def _more(part: Part) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(piece.name)}</th><td>{text(piece.equation)}</td><td>{text(piece.number)}</td></tr>'
        for piece in part.pieces
    )
    go = f'<button type="button" class="ex-quiet" data-go="{text(part.panel)}">Show it on the page</button>' if part.panel else ""
    table = f'<table class="ex-table"><caption>{text(part.title)}</caption><tbody>{rows}</tbody></table>'
    return f'<div class="ex-more" id="ex-part-{part.name}" data-of="{part.name}" hidden>{table}{go}</div>'
