"""Pictures over training, as DMM-GAN's thesis lays them out: a row for each caption that a run traces, a column for each of some steps."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from explorer.figures import style
from explorer.figures.registry import Option, Result, register_figure
from explorer.figures.runs import Course, evenly
from explorer.overlay import picture

WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.04  # inches: sheet, its edge, between tiles


@register_figure(
    "dmmgan-grid",
    title="Pictures of each caption over training",
    source="DMM-GAN (Lynggaard, 2020), image grids; traces of a training run",
    shows="run",
    options=(Option("columns", "int", 6, "steps shown, evenly spread, first and last included", low=2, high=10),),
)
def grid(course: Course, columns: int = 6) -> Result:
    """The last picture that is trained at each step, of every caption of the run."""
    run = course.run
    rows: list[dict] = []
    steps = [course.steps[i] for i in evenly(len(course.steps), columns)]
    side = (WIDTH - 2 * MARGIN - (len(steps) - 1) * GAP) / len(steps)
    texts = [style.wrap(f"“{caption}”, seed {seed}", WIDTH - 3 * MARGIN) for caption, seed in zip(run.captions, run.seeds, strict=True)]
    heights = [style.text_height(text) + 0.03 + side + 0.1 for text in texts]
    with style.sheet(WIDTH, 2 * MARGIN + style.LINE + sum(heights)) as drawing:
        for column, step in enumerate(steps):
            said = f"step {step:,}" if column == 0 and style.text_width(f"step {step:,}") <= side else f"{step:,}"
            style.write(drawing, MARGIN + column * (side + GAP), MARGIN, said, color=style.QUIET)
        down = MARGIN + style.LINE
        for number, (text, height) in enumerate(zip(texts, heights, strict=True)):
            style.write(drawing, MARGIN, down, text)
            for column, (step, image) in enumerate(zip(steps, _pictures(course, number, steps), strict=True)):
                top = down + style.text_height(text) + 0.03
                style.tile(drawing, MARGIN + column * (side + GAP), top, side, picture(image))
                rows.append({"caption": run.captions[number], "seed": run.seeds[number], "step": step, "size_px": image.shape[-1]})
            down += height
    return Result(drawing, rows)


def _pictures(course: Course, number: int, steps: list[int]) -> Iterator[Tensor]:
    """For each step the picture of the last stage that is trained by then."""
    for step in steps:
        stages = enumerate(course.run.trace(step, number).stages)
        yield [stage.image for k, stage in stages if stage.image is not None and course.run.trained(step, k)][-1]
