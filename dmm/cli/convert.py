"""``dmm convert``: published weights to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmm.cli.errors import readable

app = typer.Typer()


@app.command()
@readable
def convert(
    paths: Annotated[list[Path], typer.Argument(metavar="[FILE] OUT", help="A published .pth or .safetensors, and the folder to fill.")],
    system: Annotated[str | None, typer.Option(help="Its system, a name of `dmm list`; once is enough for a folder.")] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="What FILE holds: generator, text_encoder, image_encoder, caption_encoder, caption_decoder, discriminator64, "
            "discriminator128 or discriminator256."
        ),
    ] = None,
    vocab: Annotated[Path | None, typer.Option(help="The data set's captions.pickle; read, never run.")] = None,
) -> None:
    """Turn published weights into a checkpoint: each call adds a network, or the vocabulary, to OUT/model.safetensors, or changes nothing.

    Files are never unpickled; all sizes are read from the shapes. A generator, its text encoder and its captions.pickle make a checkpoint
    that generates; the other networks are for `dmm evaluate` and for training.

    Example, DM-GAN's birds:

      dmm convert --system dmgan --network generator bird_DMGAN.pth dmgan-birds

      dmm convert --network text_encoder text_encoder200.pth dmgan-birds

      dmm convert --vocab captions.pickle dmgan-birds

      dmm generate "a small red bird" --model dmgan-birds
    """
    from dmm.convert.keys import ConvertError
    from dmm.convert.upstream import convert as join

    if len(paths) > 2:
        raise ConvertError(f"expected [FILE] OUT, found {len(paths)} paths: {', '.join(map(str, paths))}")
    out, file = paths[-1], paths[0] if len(paths) == 2 else None
    folder = join(out, system, network, file, vocab)
    typer.echo(f"{out}: {folder.config.system} with {', '.join(folder.card['converted'])}")
    lacks = folder.lacks()
    typer.echo(f"  to generate it still needs {', '.join(lacks)}" if lacks else f'  try: dmm generate "a small red bird" --model {out}')
