"""Tables made from what the code declares: settings, recipes, metrics and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|').replace('<', '&lt;') for cell in row)} |"
    yield ""


def settings() -> str:
    """What ``--set`` can change, by purpose."""
    from dmm.config import Config

    groups: dict[str, list[list[str]]] = {}
    for section in dataclasses.fields(Config):
        for one in dataclasses.fields(getattr(Config(), section.name)):
            about, value = one.metadata, one.default
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)
            read_by = "all" if len(about["steps"]) == 3 else ", ".join(about["steps"])
            row = [f"`{section.name}.{one.name}`", f"`{shown}`" if shown else "", about["about"], read_by, about["origin"]]
            groups.setdefault(about["group"], []).append(row)
    lines = [
        "# Settings",
        "",
        "Everything that `--set key=value` can change, as `dmm list --settings` names it; recipes override the defaults.",
        "",
    ]
    for group, rows in groups.items():
        lines += [f"## {group[0].upper()}{group[1:]}", "", *_table(("key", "default", "meaning, unit", "read by", "from"), rows)]
    return "\n".join(lines)


def recipes() -> str:
    """The recipes, each with its first line."""
    from dmm.recipes import describe, names

    head = ["# Recipes", "", "`dmm recipes show NAME --against OTHER` says what one sets, and what another has instead.", ""]
    rows = [[f"[`{name}`](files/dmm/recipes/{name}.yaml)", describe(name)] for name in names()]
    return "\n".join([*head, *_table(("recipe", "what it is"), rows)])


def metrics() -> str:
    """The registered metrics, each with the first line of its docstring."""
    import dmm.metrics  # noqa: F401  registers them
    from dmm.metrics.registry import get_metric, list_metrics

    rows = [[f"`{name}`", get_metric(name).about, ", ".join(get_metric(name).needs)] for name in list_metrics()]
    return "\n".join(_table(("metric", "what it measures", "reads"), rows))


def figures() -> str:
    """The register of figures with their options."""
    from explorer.figures import list_figures
    from explorer.figures.registry import PRINTED, SHOWS

    lines = [
        "# Figures",
        "",
        "```sh",
        "explorer figures NAME... --out DIR --format png,pdf,svg,csv",
        "make figures    # all that the shipped models can give",
        "```",
        "",
    ]
    where = {"column": "in a column", "page": "across the page"}
    for figure in list_figures():
        lines += [
            f"## {figure.name}",
            "",
            f"{figure.title}. *{figure.source}.* Shows {SHOWS[figure.shows]}. "
            f"Printed {where[figure.printed]} ({2.54 * PRINTED[figure.printed]:.1f} cm).",
            "",
        ]
        rows = [[f"`--{option.name.replace('_', '-')}`", option.help, f"`{option.default}`"] for option in figure.options]
        lines += _table(("option", "meaning", "default"), rows) if rows else []
    return "\n".join(lines)
