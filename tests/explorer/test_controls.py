"""One option, three surfaces, one value."""

from __future__ import annotations

import pytest

from explorer import controls, figures
from explorer.figures import Option

OPTIONS = [option for figure in figures.list_figures() for option in figure.options] + [
    Option("shade", "choice", "a", "a choice", choices=("a", "b")),
    Option("number", "int", 5, "a number without limits"),
]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.name)
def test_widget_and_component_start_at_the_default(option):
    pytest.importorskip("gradio")
    assert option.check(controls.component(option).value) == option.default
    if option.low is not None or option.kind not in ("int", "float"):
        pytest.importorskip("ipywidgets")
        assert option.check(controls.widget(option).value) == option.default


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.name)
def test_flag_starts_at_the_default(option):
    flag = controls.flag(option)
    assert flag.name == option.name and option.check(flag.default) == option.default


def test_named():
    assert controls.named(OPTIONS[:2], [1, 2]) == {OPTIONS[0].name: 1, OPTIONS[1].name: 2}
