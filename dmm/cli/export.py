"""``dmm export``: a checkpoint in fewer bytes, to be shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmm.checkpoint import Weights
from dmm.cli.errors import readable

app = typer.Typer()


@app.command()
@readable
def export(
    checkpoint: Annotated[str, typer.Argument(help="A shipped name, a run directory, or a folder.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    weights: Annotated[Weights, typer.Option(help="How floats are stored; int8 has half the bytes of fp16.")] = "fp16",
    max_file_size: Annotated[
        int | None, typer.Option(min=1, metavar="BYTES", help="Of a file; networks that do not fit get files of their own.")
    ] = None,
    example: Annotated[
        list[str] | None, typer.Option(help="A caption that its page shows as an example, in place of the run's own; repeatable.")
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="image_encoder or captioner, which generating does without; repeatable."),
    ] = None,
) -> None:
    """Write a checkpoint anew with its weights in fp32, fp16 or int8, and say how much its pictures change.

    Example: dmm export runs/cats-gan cats --weights int8
    """
    from dmm.checkpoint import FILE, CheckpointError, further_files, save
    from dmm.images import write_atomic
    from dmm.pipeline import load

    absent = sorted(set(leave_out or []) - {"image_encoder", "captioner"})
    if absent:
        raise CheckpointError(f"--leave-out: expected image_encoder or captioner, found {absent[0]!r}")
    pipe = load(checkpoint)
    for part in leave_out or []:
        setattr(pipe, part, None)
    if example:
        pipe.encode(example)  # each has a word that the model knows
        pipe.card = {**pipe.card, "captions": example}
    save(pipe, out, weights, max_file_size)
    if not (out / "README.md").exists():
        write_atomic(out / "README.md", pipe.model_card(out.name).encode())
    size = sum((out / name).stat().st_size for name in (FILE, *further_files(out / FILE)))
    typer.echo(f"{out}: {', '.join(name for name, _ in pipe.named_children())}; {size / 1e6:.1f} MB, {weights}")
    caption = next(iter(pipe.card.get("captions", ())), " ".join(pipe.vocab.words[:6]))
    before, after = (model(caption, seed=0, redescribe=False).images[-1] for model in (pipe, load(out)))
    typer.echo(f"  {caption!r}, seed 0: pictures differ by {(after - before).abs().mean() * 127.5:.2f} of 255 levels in the mean")
    typer.echo(f"  next: dmm generate CAPTION --model {out}")
