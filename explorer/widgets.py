"""The explorer in a notebook: words as shaded chips, pictures in a row, a panel for a caption and one for any figure.

Everything shown comes from the functions that the page uses: numbers from :mod:`explorer.statistics`, colours from :mod:`explorer.overlay`,
options from :mod:`explorer.controls`.
"""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets
import numpy as np
from IPython.display import HTML

from dmm.trace import Trace
from explorer import cells, controls, gather, overlay, statistics
from explorer.figures import check_options, draw, get_figure
from explorer.page_html import text
from explorer.session import Session


def chips(trace: Trace, stage: int, quantity: str = "writing_gate", region: statistics.Region | None = None) -> HTML:
    """The caption's words in order, shaded by their number; the number stands below each word, the legend below all.

    Raises:
        explorer.statistics.MissingQuantity: the stage does not have the quantity.
    """
    return HTML(cells.chips(statistics.chips(trace, stage, quantity, region), quantity, statistics.uniform(trace)))


def legend(key: overlay.Legend) -> HTML:
    """A legend as a bar: quantity and unit, range, and the marked numbers."""
    return HTML(cells.legend(key))


def row(pictures: Mapping[str, np.ndarray], side: int = 256) -> HTML:
    """Pictures H W 3 uint8 side by side at one size (``side`` in px, their own pixels visible), each with its name below."""
    return HTML(cells.row(pictures, side))


def word_row(trace: Trace, stage: int, index: int, quantity: str = "addressing", strength: float = 0.6) -> HTML:
    """A stage's picture, and the map of one word (its position on the T axis) over the grey picture, with the legend."""
    values = statistics.word_map(trace, stage, index, quantity)
    even, image = statistics.uniform(trace), trace.stages[stage].quantity("image")
    limits = overlay.limits(values, uniform=even)
    about, name = statistics.QUANTITIES[quantity], statistics.names(trace)[index]
    shown = row(
        {f"{image.shape[-1]} px": overlay.picture(image), f"where “{name}” is read": overlay.overlay(image, values, limits, strength)}
    )
    return HTML(shown.data + legend(overlay.legend(about.label, limits, about.unit, even)).data)


def explore(session: Session, caption: str, seed: int = 3, model: str | None = None) -> ipywidgets.Widget:
    """A caption, its last picture and the map of a word that you choose: type, press Enter, click a word."""
    said = ipywidgets.Text(caption, description="caption", continuous_update=False, layout=ipywidgets.Layout(width="44em"))
    noise = ipywidgets.BoundedIntText(seed, min=0, max=2**31 - 1, description="seed")
    word = ipywidgets.ToggleButtons(description="word", style={"button_width": "auto"})
    shown = ipywidgets.HTML()

    def left_out() -> str:
        unknown = statistics.unknown_words(said.value, session.pipeline(model).vocab)
        return cells.paragraph(f"Not in this model's vocabulary, left out: {', '.join(unknown)}.") if unknown else ""

    def generate(_change=None) -> None:
        try:
            trace = session.trace(model, said.value, noise.value)
        except ValueError as error:  # a caption that cannot be generated says why
            word.options, shown.value = (), text(error)
            return
        read = _shown(trace)
        if read is None:
            word.options, shown.value = (), left_out() + row(_pictures(trace)).data + text("No stage of this system reads single words.")
            return
        stage, quantity, _ = read
        name = statistics.names(trace)
        word.options = [(name[chip.index], chip.index) for chip in statistics.chips(trace, stage, quantity)]
        word.value = statistics.top_words(trace, stage, quantity, k=1)[0].index
        show()

    def show(_change=None) -> None:
        if word.value is not None:
            trace = session.trace(model, said.value, noise.value)
            if (read := _shown(trace)) is None:
                return
            stage, quantity, maps = read
            shown.value = left_out() + chips(trace, stage, quantity).data + word_row(trace, stage, word.value, maps).data

    said.observe(generate, "value")
    noise.observe(generate, "value")
    word.observe(show, "value")
    generate()
    return ipywidgets.VBox([said, noise, word, shown])


def _shown(trace: Trace) -> tuple[int, str, str] | None:
    """(the last stage that reads words, what its chips show, the maps of its words), if one does: the writing gate where there is one."""
    for stage in reversed(range(len(trace.stages))):
        maps = statistics.maps_of(trace, stage)
        if maps:
            return stage, "writing_gate" if statistics.has(trace, stage, "writing_gate") else maps, maps
    return None


def _pictures(trace: Trace) -> dict[str, np.ndarray]:
    return {f"{image.shape[-1]} px": overlay.picture(image) for image in trace.images}


def figure_panel(session: Session, name: str, model: str | None = None) -> ipywidgets.Widget:
    """A figure of the register with its options as widgets; it is drawn when the button is pressed.

    Raises:
        explorer.figures.FigureError: no such figure.
    """
    figure = get_figure(name)
    inputs = [controls.widget(option) for option in figure.options]
    button = ipywidgets.Button(description="Draw", button_style="primary")
    shown, message = ipywidgets.HTML(), ipywidgets.HTML()  # an Image widget has no description in words

    def press(_button=None) -> None:
        try:
            values = check_options(figure, controls.named(figure.options, [field.value for field in inputs]))
            taken, references = gather.gather(figure, values, session, model=model), gather.references(figure, values)
            shown.value, message.value = draw(figure, taken, references, **values)._repr_html_(), ""
        except ValueError as error:  # an option or caption that does not fit says why
            message.value = text(error)

    button.on_click(press)
    return ipywidgets.VBox([*inputs, button, message, shown])
