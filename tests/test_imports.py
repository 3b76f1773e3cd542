"""Who may import whom, read from the source: the modules and packages, and what each may import."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Packages and modules of dmm, lowest first; each may import those of its own row and of the rows above it in this list.
LAYERS = (
    ("errors", "config", "files", "archives", "trace", "trace_check", "images", "matching", "fp32", "int8", "workers"),
    ("data", "aviary", "models", "losses"),
    ("recipes", "checkpoint"),
    ("convert", "hub"),
    ("pipeline",),
    ("metrics",),
    ("training",),
    ("bench",),
    ("report",),
    ("cli",),
)
APART = {"models", "losses"}  # of one row, but they do not know each other: a loss receives networks, it imports none

BASE = {f"dmm.{part}" for part in LAYERS[0]}
MODEL = {f"dmm.{part}" for row in LAYERS[:5] for part in row}  # enough to turn a caption into a trace
DRAWING = {"explorer.statistics", "explorer.overlay"}
SURFACE = MODEL | DRAWING | {f"explorer.{part}" for part in ("session", "edits", "page_html", "figures", "controls", "gather")}

#: Modules of explorer -> what each may import beside itself. A figure takes traces or log rows, never a session.
EXPLORER = {
    "session": MODEL | {"dmm.metrics", "explorer.reliability", "explorer.edits", "explorer.interventions"},
    "interventions": MODEL | {"explorer.edits"},
    "regions": BASE | DRAWING,
    "slots": BASE | {"dmm.aviary"},
    "agreement": set(),
    "votes": {"dmm.files"},
    "ballots": MODEL | {f"explorer.{part}" for part in ("agreement", "edits", "interventions", "questions", "session", "votes")},
    "readings": MODEL,
    "comparisons": MODEL | DRAWING | {"explorer.questions", "explorer.session"},
    "cells": BASE | DRAWING | {"explorer.page_html", "explorer.readings"},
    "notebook": SURFACE
    | {f"explorer.{part}" for part in ("ballots", "cells", "gate_changes", "interventions", "questions", "readings", "regions")}
    | {"explorer.comparisons", "explorer.slots", "explorer.takeaway", "explorer.votes", "explorer.walks"},
    "gate_changes": BASE | DRAWING,
    "edits": MODEL | {"dmm.metrics", "explorer.statistics"},
    "statistics": BASE | {"dmm.data", "dmm.aviary"},
    "overlay": BASE,
    "courses": BASE | DRAWING,
    "page_html": BASE | DRAWING | {"explorer.reliability", "explorer.slots"},
    "learning_html": BASE | DRAWING | {"explorer.courses", "explorer.page_html"},
    "reliability": {"dmm.files"},
    "tour": {"explorer.page_html"},
    "about": MODEL | {"explorer.page_html"},
    "overview": BASE | DRAWING | {"explorer.page_html", "explorer.slots"},
    "walks": BASE,
    "panels": BASE | DRAWING | {"dmm.metrics"} | {f"explorer.{part}" for part in ("edits", "gate_changes", "interventions", "page_html")},
    "questions": MODEL | {"explorer.edits", "explorer.interventions", "explorer.session"},
    "takeaway": SURFACE | {"explorer.interventions", "explorer.questions"},
    "api": SURFACE
    | {"dmm.metrics"}
    | {f"explorer.{part}" for part in ("ballots", "gate_changes", "interventions", "questions", "readings", "regions", "slots", "takeaway")}
    | {"explorer.comparisons", "explorer.courses", "explorer.votes", "explorer.walks"},
    "endpoints": {"dmm.files", "explorer.api", "explorer.questions"},
    "figures": BASE
    | DRAWING
    | {"explorer.agreement", "explorer.courses", "dmm.data", "dmm.aviary", "dmm.metrics", "dmm.recipes", "dmm.report"},
    "controls": BASE | {"explorer.figures"},
    "references": BASE | {"dmm.data", "dmm.aviary", "explorer.figures"},
    "describe": MODEL | {"explorer.figures"},
    "gather": SURFACE | {"dmm.metrics", "dmm.report"} | {f"explorer.{part}" for part in ("ballots", "describe", "references", "votes")},
    "produce": SURFACE,
    "widgets": SURFACE | {"explorer.cells"},
    "headers": set(),
    "request_guard": {"dmm.files"},
    "sign_in": {"dmm.files", "explorer.request_guard"},
    "connections": set(),
    "page_answers": SURFACE | {f"explorer.{part}" for part in ("about", "api", "interventions", "overview", "panels", "questions")},
    "replies": SURFACE | {f"explorer.{part}" for part in ("api", "interventions", "page_answers", "questions", "stopping")},
    "run_section": {f"explorer.{part}" for part in ("figures", "learning_html", "page_html", "questions", "sections", "session")}
    | {"explorer.statistics"},
    "launch": {f"explorer.{part}" for part in ("connections", "headers", "request_guard", "sign_in")},
    "ui": {f"explorer.{part}" for part in ("api", "ballots", "endpoints", "page_answers", "questions", "replies", "run_section")}
    | {f"explorer.{part}" for part in ("sections", "session", "tour", "votes")},
    "stopping": {"explorer.questions"},
    "sections": {"dmm.models"}
    | {f"explorer.{part}" for part in ("api", "ballots", "interventions", "page_html", "panels", "questions", "takeaway")},
    "cli": SURFACE | {"explorer.launch", "explorer.sign_in", "explorer.ui", "explorer.produce", "explorer.votes"},
}

#: Each system on the shared blocks; none knows another.
SYSTEMS = {"gan_int_cls", "stackgan_v1", "stackgan", "attngan", "mirrorgan", "dmgan", "dmmgan", "dfgan"}

#: Not to be had, or not wanted, on a bare GPU machine.
NOT_IN_DMM = ("matplotlib", "seaborn", "gradio", "ipywidgets", "IPython", "torchvision", "explorer")


def module_name(path: Path) -> str:
    """`dmm/data/vocab.py` -> `dmm.data.vocab`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    return (ROOT / Path(*name.split("."))).with_suffix(".py").exists() or (ROOT / Path(*name.split(".")) / "__init__.py").exists()


def imports(source: str) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file: `from dmm import trace` is `dmm.trace`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write the full name"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if is_module(full) else node.module)
    return found


def package_of(name: str) -> str:
    """`dmm.data.vocab` -> `dmm.data`."""
    return ".".join(name.split(".")[:2])


def allowed(name: str) -> set[str]:
    """What a module may import beside the packages of other projects."""
    package, _, rest = name.partition(".")
    own = rest.split(".")[0]
    if package == "app":
        return {"explorer.launch", "explorer.session", "explorer.sign_in", "explorer.ui", "explorer.votes"}
    if not own:
        return {"explorer": {"explorer.notebook"}, "dmm": {"dmm.pipeline", "dmm.trace"}}[package]
    if package == "explorer":
        assert own in EXPLORER, f"{name} is new: say in tests/test_imports.py what it may import"
        return EXPLORER[own] | {package_of(name)}
    row = next((i for i, names in enumerate(LAYERS) if own in names), None)
    assert row is not None, f"{name} is new: give it a row in tests/test_imports.py"
    below = {own, *(name for names in LAYERS[:row] for name in names)} | (set() if own in APART else set(LAYERS[row]) - APART)
    return {f"dmm.{name}" for name in below} | ({"dmm"} if own == "cli" else set())  # which says the package's version


def sources() -> list[Path]:
    return [*sorted((ROOT / "dmm").rglob("*.py")), *sorted((ROOT / "explorer").rglob("*.py")), ROOT / "app.py"]


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_room_imports_only_what_it_may(path):
    name = module_name(path)
    found = imports(path.read_text(encoding="utf-8"))
    ours = {package_of(other) for other in found if other.split(".")[0] in ("dmm", "explorer", "app")}
    assert ours - allowed(name) == set(), f"{name} may not import these"
    assert not any(other.split(".")[0] == "torchvision" for other in found), "torchvision cannot be imported beside a CPU-only torch"
    if name.startswith("dmm"):
        assert {other for other in found if other.split(".")[0] in NOT_IN_DMM} == set()


def test_no_system_imports_another():
    for system in SYSTEMS:
        path = ROOT / "dmm" / "models" / f"{system}.py"
        if path.exists():
            others = {name.rsplit(".", 1)[-1] for name in imports(path.read_text(encoding="utf-8"))}
            assert others & SYSTEMS == set(), f"{system} imports another system"


@pytest.mark.parametrize(
    ("importer", "line", "fits"),
    [
        ("dmm.losses.damsm", "from dmm.matching import matching_losses", True),
        ("dmm.losses.damsm", "from dmm.models.text_encoder import TextEncoder", False),
        ("dmm.pipeline", "from dmm.checkpoint import read", True),
        ("dmm.checkpoint", "from dmm.pipeline import load", False),
        ("dmm.models.dmmgan", "import dmm.training.loop", False),
        ("explorer.figures.dmgan", "from dmm import trace", True),
        ("explorer.figures.dmgan", "from explorer import session", False),
        ("explorer.ui", "from explorer.widgets import Chips", False),
        ("app", "from explorer.ui import build", True),
    ],
)
def test_the_rule_itself(importer, line, fits):
    assert ({package_of(name) for name in imports(line)} <= allowed(importer)) is fits


def test_all_of_dmm_imports_on_a_bare_machine():
    program = """
        import importlib, pkgutil, sys
        for name in sys.argv[1:]:
            sys.modules[name] = None  # import raises ImportError
        import dmm
        for module in pkgutil.walk_packages(dmm.__path__, "dmm."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    """
    optional = [*NOT_IN_DMM, "nltk", "torchmetrics", "accelerate"]
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program), *optional], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
