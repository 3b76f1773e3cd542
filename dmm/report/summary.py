"""What the tables say, in sentences made from the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dmm.report.layout import MISSING
from dmm.report.measures import AGREEMENT, SECOND_RUN, SHARE, STAGES, applies, located
from dmm.report.published import published
from dmm.report.records import Figure, Measure, Results, figure, seeds_of
from dmm.report.subjects import ABLATION, TWO_BY_TWO, second_runs, systems

ONE_RUN = "Intervals are over captions, of one trained model: how far a second training run differs is not in them."


def summary(results: Results) -> list[str]:
    """What the tables say, in sentences made from the figures."""
    own = systems()
    finest = {label: recipe for label, recipe in own.items() if applies(AGREEMENT, recipe)}
    found = {label: one for label, recipe in finest.items() if (one := figure(results, recipe, AGREEMENT))}
    have = sorted(found, key=lambda label: -found[label].value)
    lack = [label for label in finest if label not in found]
    lines = ["Share of captioned colours read back from the 256 px picture, the best first: " + _listing(have, found) + "."] if have else []
    lines += [f"Not measured: {', '.join(lack)}."] if lack else []
    lines += [_difference("a memory (DM-GAN) against attention (AttnGAN)", "DM-GAN", "AttnGAN", results)]
    lines += [_difference("a global memory with STREAM in the loss (DMM-GAN against DM-GAN)", "DMM-GAN", "DM-GAN", results)]
    shares = {label: figure(results, recipe, SHARE) for label, recipe in own.items()}
    told = [f"{label} {_plain(share, SHARE)}" for label, share in shares.items() if share]
    lines += (
        ["Share of a colour word's effect that passes through the words that refinements read: " + ", ".join(told) + "."] if told else []
    )
    parts = {"DM-GAN's parts": ABLATION, "GLDM and STREAM": TWO_BY_TWO}
    lines += [line for name, variants in parts.items() if (line := _added(name, variants, results))]
    lines += _again(results)
    return [*lines, ONE_RUN, published()["protocol_notes"][-1]]


def _added(parts: str, variants: Mapping[str, str], results: Results) -> str:
    """What parts of a system add to the captioned colours at 128 px, under the budget of the ablation; empty without records."""
    measure = STAGES[1]
    found = {label: figure(results, recipe, located(measure, recipe)) for label, recipe in variants.items()}
    told = [f"{label} {_plain(one, measure)}" for label, one in found.items() if one]
    return f"What {parts} add, at 128 px under a smaller budget of their own: {', '.join(told)}." if told else ""


def _again(results: Results) -> list[str]:
    """What was reached by models that were trained with several seeds, the smallest first; nothing without records."""
    told = []
    for label, recipe, seeds in second_runs(results):
        found = [figure(results, recipe, SECOND_RUN[0], seed) for seed in seeds]
        values = " and ".join(MISSING if one is None else f"{one.value:.3f}" for one in found)
        several = len({one.protocol for one in found if one}) > 1
        told += [f"{label} {values}" + (" (by different protocols)" if several else "")] if any(found) else []
    return (
        [f"Trained again with another seed, share of captioned colours read back from the last picture: {', '.join(told)}."] if told else []
    )


def _plain(found: Figure, measure: Measure) -> str:
    text = f"{found.value:.{measure.digits}f}"
    return text + (" [" + ", ".join(f"{bound:.{measure.digits}f}" for bound in found.interval) + "]" if found.interval else "")


def _listing(labels: Sequence[str], found: Mapping[str, Figure]) -> str:
    text = ", ".join(f"{label} {_plain(found[label], AGREEMENT)}" for label in labels)
    one = len({found[label].protocol for label in labels}) == 1
    return text if one else text + " (measured by different protocols, see the table)"


def _difference(what: str, more: str, less: str, results: Results) -> str:
    """What the first of two systems adds to the captioned colours that are read back, and how far training alone moves that."""
    recipes = [systems()[more], systems()[less]]
    first, second = (figure(results, recipe, AGREEMENT) for recipe in recipes)
    if not first or not second:
        return f"What {what} adds: not measured."
    runs = [[figure(results, recipe, AGREEMENT, seed) for seed in seeds_of(results, recipe)] for recipe in recipes]
    values = [[one.value for one in found if one and one.protocol == first.protocol] for found in runs]
    return difference(f"What {what} adds to that share", first, second) + _by_training(*values)


def _by_training(more: Sequence[float], less: Sequence[float]) -> str:
    """How far training runs of one recipe lie apart, and whether two recipes differ by more; empty without a second run."""
    if not more or not less or len(more) == len(less) == 1:  # none: of another protocol
        return ""
    apart = max(max(values) - min(values) for values in (more, less))
    if min(len(more), len(less)) == 1:
        return f" Another training run of one of them alone moved it by {apart:.3f}."
    found = sum(more) / len(more) - sum(less) / len(less)
    told = "do not overlap" if min(more) > max(less) or min(less) > max(more) else "overlap: no difference could be shown"
    return (
        f" On average over {len(more)} and {len(less)} training runs it is {found:+.3f}; runs of one recipe lie up to {apart:.3f} apart, "
        f"and the ranges of the two {told}."
    )


def difference(what: str, first: Figure, second: Figure, digits: int = 3) -> str:
    """How far two figures differ, and whether by more than the chance of which captions were measured, as far as their intervals say."""
    text = f"{what}: {first.value - second.value:+.{digits}f}"
    if first.protocol != second.protocol:
        return text + ", by different protocols: no comparison."
    if not first.interval or not second.interval:
        return text + "; without intervals, so whether that is chance is not known."
    apart = first.interval[0] > second.interval[1] or second.interval[0] > first.interval[1]
    return text + ("; the intervals do not overlap." if apart else "; the intervals overlap: no difference could be shown.")
