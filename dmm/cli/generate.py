"""``dmm generate``: captions to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmm.cli.errors import readable
from dmm.cli.options import Device, load_fast

app = typer.Typer()


@app.command()
@readable
def generate(
    caption: Annotated[list[str], typer.Argument(help="One or more sentences.")],
    model: Annotated[str, typer.Option(help="A shipped name or a run directory.")] = "dmmgan-aviary",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("generated"),
    save_trace: Annotated[bool, typer.Option("--trace", help="Also write trace.npz: everything the memory did.")] = False,
    device: Device = "auto",
) -> None:
    """Generate pictures of captions, one file for each size that the system has, and print what STREAM reads back.

    Example: dmm generate "a small red bird with black wings" --seed 3

    Example: dmm generate "a grey cat" "a black cat asleep" --model runs/cats-gan --out cats-generated
    """
    from dmm.images import save

    pipe = load_fast(model, device)
    trace = pipe(caption, seed=seed)
    for b, sentence in enumerate(caption):
        typer.echo(sentence)
        if left := dict.fromkeys(word for word, number in pipe.vocab.read(sentence) if number is None):
            typer.echo(f"  left out, not among the {len(pipe.vocab.words)} words that {model} knows: {', '.join(left)}")
        for stage in trace.stages:
            if stage.image is None:  # some systems generate one picture, at the end
                continue
            path = out / f"{b:02d}-{stage.size}.png"
            save(stage.image[b], path)
            typer.echo(f"  {path}" + (f"  {stage.redescription[b]}" if stage.redescription else ""))
    if save_trace:
        trace.save(out / "trace.npz")
