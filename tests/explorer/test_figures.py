"""Every registered figure draws, twice the same, without overlapping text; the two of the DM-GAN paper show the numbers of the trace."""

from __future__ import annotations

import base64
import csv
import dataclasses
import html
import io
import itertools
import re
import sys

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from explorer import figures, statistics
from explorer.figures import FigureError, Option, style
from explorer.figures.export import FORMATS, export, render
from explorer.figures.registry import PRINTED
from tests.explorer.handmade import make_trace

NAMES = [figure.name for figure in figures.list_figures() if figure.shows == "captions"]
LONG = "this particular bird has a belly that is yellow and brown with " + "exceedingly " * 8 + "long $legs_and$ feet"


def traces_of(name: str, **values):
    """The hand-made trace for each request; what is read of words is attention where the figure needs that."""
    figure = figures.get_figure(name)
    traces = [make_trace(caption, seed) for caption, seed in figures.requests(figure, values)]
    return [attending(trace) for trace in traces] if "word_attention" in figure.needs else traces


def attending(trace):
    """The trace of a system that attends to words, in place of one with a memory."""
    stages = [dataclasses.replace(s, addressing=None, writing_gate=None, word_attention=s.addressing) for s in trace.stages]
    return dataclasses.replace(trace, stages=stages)


def boxes(figure) -> list[tuple[str, object]]:
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [t for t in [*figure.texts, *(t for axes in figure.axes for t in axes.texts)] if t.get_text().strip()]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts]


def test_the_two_figures_are_there():
    assert {"dmgan-fig4", "dmgan-fig6b"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_says_what_it_is(name):
    figure = figures.get_figure(name)
    assert figure.title and figure.source
    assert all(option.help for option in figure.options)
    assert figures.check_options(figure, {}) == {option.name: option.default for option in figure.options}


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_draws_the_same_file_twice_and_leaves_its_traces_alone(name, tmp_path):
    traces = traces_of(name)
    before = [stage.image.clone() for trace in traces for stage in trace.stages]
    first = export(figures.draw(name, traces), tmp_path / "one", name, FORMATS)
    second = export(figures.draw(name, traces), tmp_path / "two", name, FORMATS)
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes() and one.stat().st_size > 100
    after = [stage.image for trace in traces for stage in trace.stages]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert Image.open(tmp_path / "one" / f"{name}.png").width >= 1500
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("caption", [None, LONG])
def test_texts_do_not_overlap_and_stay_on_the_sheet(name, caption):
    drawing = figures.draw(name, traces_of(name, **said_in(name, caption))).figure
    apart(drawing)
    legible(name, drawing)


def said_in(name: str, caption: str | None) -> dict:
    """The options that make a figure show one caption, as often as it shows captions."""
    if caption is None:
        return {}
    option = next(o for o in figures.get_figure(name).options if o.kind in ("captions", "text") and o.makes == "trace")
    return {option.name: tuple(f"{caption} {n}" for n in range(6)) if option.kind == "captions" else caption}


def apart(drawing) -> None:
    found = boxes(drawing)
    width, height = drawing.get_size_inches() * drawing.dpi
    for said, box in found:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width + 1 and box.y1 <= height, said
    for (one, a), (two, b) in itertools.combinations(found, 2):
        assert a.x1 <= b.x0 + 0.5 or b.x1 <= a.x0 + 0.5 or a.y1 <= b.y0 + 0.5 or b.y1 <= a.y0 + 0.5, (one, two)


def legible(name: str, drawing) -> None:
    """Where the figure is printed, no letter is smaller than about 5 pt."""
    printed = PRINTED[figures.get_figure(name).printed]
    sizes = {text.get_size() for text in drawing.findobj(Text) if text.get_text().strip()}
    assert min(sizes) * printed / drawing.get_size_inches()[0] >= 4.9, sizes


def test_no_window_toolkit_is_touched():
    figures.draw("dmgan-fig4", traces_of("dmgan-fig4"))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_fig4_rows_are_captions_times_stages():
    result = figures.draw("dmgan-fig4", traces_of("dmgan-fig4", captions=["a small bird", "a zeppelin"], seed=5))
    assert [(r["caption"], r["size_px"], r["seed"]) for r in result.rows] == [
        (caption, size, 5) for caption in ("a small bird", "a zeppelin") for size in (64, 128, 256)
    ]
    assert result.rows[3]["not_in_vocabulary"] == "zeppelin"
    assert len(result.figure.axes) == 6


def test_fig4_breaks_into_bands():
    captions = tuple(f"bird {i}" for i in range(5))
    drawing = figures.draw("dmgan-fig4", traces_of("dmgan-fig4", captions=captions), columns=2).figure
    assert len(drawing.axes) == 15
    assert len({round(axes.get_position().x0, 3) for axes in drawing.axes}) == 2


def test_fig6b_rows_are_the_numbers_of_the_trace():
    trace = make_trace()
    rows = figures.draw("dmgan-fig6b", [trace], top=3).rows
    assert len(rows) == 2 * 2 * 3
    for stage, quantity in itertools.product((1, 2), ("writing_gate", "addressing")):
        shown = [(r["word"], r["position"], r["value"]) for r in rows if r["stage"] == stage and r["quantity"] == quantity]
        assert shown == [(c.word, c.index, c.value) for c in statistics.top_words(trace, stage, quantity, 3)]
    assert {r["uniform"] for r in rows if r["quantity"] == "addressing"} == {1 / 7}


def test_fig6b_marks_the_uniform_value_and_names_the_quantity():
    said = [t.get_text() for t in figures.draw("dmgan-fig6b", [make_trace()]).figure.texts]
    assert "line: 1/T = .14" in said and any("probability that a place reads" in text for text in said)


def test_fig6b_with_own_ranges_says_so():
    drawing = figures.draw("dmgan-fig6b", [make_trace(LONG)], scale="own").figure
    said = [text for text, _ in boxes(drawing)]
    assert "largest of the map" in said and ".050 to .70" in said and not any("line: 1/T" in text for text in said)
    apart(drawing)


def test_rows_hold_the_range_of_each_shade_and_a_sentence_only_where_it_is_printed():
    trace = make_trace()
    rows = {scale: figures.draw("dmgan-fig6b", [trace], scale=scale).rows for scale in ("shared", "own")}
    assert len({(r["drawn_from"], r["drawn_to"]) for r in rows["shared"]}) == 1
    for row in rows["own"]:
        values = statistics.word_map(trace, row["stage"], row["position"])
        assert (row["drawn_from"], row["drawn_to"]) == (values.min(), values.max())
    assert {r["redescription"] for r in figures.draw("dmgan-fig4", [trace]).rows} == {""}
    printed = [r["redescription"] for r in figures.draw("dmgan-fig4", [trace], redescription=True).rows]
    assert printed[:-1] == ["", ""] and printed[-1] == trace.stages[-1].redescription[0]


def test_a_quantity_that_is_missing_is_said():
    trace = make_trace()
    bare = dataclasses.replace(trace, stages=[dataclasses.replace(s, writing_gate=None) for s in trace.stages])
    with pytest.raises(FigureError, match="writing gate, which this system does not have"):
        figures.draw("dmgan-fig6b", [bare])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: figures.get_figure("dmgan-fig9"), "did you mean 'dmgan-fig"),
        (lambda: figures.draw("dmgan-fig4", []), "at least one trace"),
        (lambda: figures.draw("dmgan-fig6b", [make_trace()] * 2), "one caption"),
        (lambda: figures.draw("dmgan-fig6b", [make_trace()], topp=3), "did you mean 'top'"),
        (lambda: figures.draw("dmgan-fig6b", [make_trace()], top=0), "1 to 8"),
        (lambda: figures.draw("dmgan-fig6b", [make_trace()], top="many"), "expected int"),
        (lambda: figures.draw("dmgan-fig6b", [make_trace()], top=10**400), "expected int"),
        (lambda: figures.draw("dmgan-fig6b", [make_trace()], strength=float("nan")), "strength: expected 0.0 to 1.0, found nan"),
        (lambda: render(figures.draw("dmgan-fig6b", [make_trace()]), "jpg"), "none of png"),
    ],
)
def test_mistakes_are_answered_with_what_was_expected(call, said):
    with pytest.raises(FigureError, match=said):
        call()


def test_options_are_checked():
    assert Option("x", "captions", (), "h").check(" one \n\n two ") == ("one", "two")
    assert Option("x", "int", 1, "h").check(2.0) == 2
    with pytest.raises(FigureError):
        Option("x", "int", 1, "h").check(2.5)
    with pytest.raises(FigureError):
        Option("x", "choice", "a", "h", choices=("a", "b")).check("c")
    with pytest.raises(FigureError):
        Option("x", "captions", (), "h").check("\n")
    with pytest.raises(ValueError, match="none of"):
        Option("x", "colour", 1, "h")


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="twice"):
        figures.register_figure("dmgan-fig4", title="t", source="s")(lambda traces: None)
    with pytest.raises(ValueError, match="printed 'poster' is none of column, page"):
        figures.register_figure("new", title="t", source="s", printed="poster")


def test_a_notebook_shows_a_result_as_a_picture():
    result = figures.draw("dmgan-fig4", [make_trace()])
    picture = r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)" style="max-width:100%">'
    data, said = re.fullmatch(picture, result._repr_html_()).groups()
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert html.unescape(said) == result.alt and "3 rows" in said
    assert shown.size == tuple(int(inches * 120) for inches in result.figure.get_size_inches())


def test_csv_reads_back(tmp_path):
    result = figures.draw("dmgan-fig6b", [make_trace('a "quoted", caption')])
    (path,) = export(result, tmp_path, "x", ["csv"])
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert len(rows) == len(result.rows) and rows[0]["caption"] == 'a "quoted", caption'
    assert float(rows[0]["value"]) == result.rows[0]["value"]


def test_nothing_is_written_if_a_format_is_unknown(tmp_path):
    with pytest.raises(FigureError):
        export(figures.draw("dmgan-fig6b", [make_trace()]), tmp_path, "x", ["csv", "bmp"])
    assert not list(tmp_path.iterdir())


def test_text_is_cut_to_its_column():
    word = "yellow-bellied"
    assert style.clip(word, style.text_width(word)) == word
    cut = style.clip(word, 0.4)
    assert cut.endswith("…") and word.startswith(cut[:-1]) and style.text_width(cut) <= 0.4 < style.text_width(word[: len(cut)] + "…")
    assert style.clip(word, 0.0) == "…"
