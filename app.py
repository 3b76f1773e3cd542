"""Serve the explorer: ``python app.py`` (HOST and PORT from the environment, or Gradio's names for them, which a Space sets; or flags)."""

from __future__ import annotations

import argparse
import os

from explorer.launch import serve
from explorer.session import Session
from explorer.sign_in import read_passwords
from explorer.ui import build
from explorer.votes import VoteStore


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text[:40]!r}")
    return int(text)


def main(argv: list[str] | None = None) -> None:
    """Arguments -> session -> page -> launch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="*", help="names under assets/checkpoints, or folders; without any, all that are shipped")
    host, port = (os.environ.get(own) or os.environ.get(f"GRADIO_SERVER_{its}") for own, its in (("HOST", "NAME"), ("PORT", "PORT")))
    parser.add_argument("--host", default=host or "127.0.0.1", help="address to listen on; by default this machine only")
    parser.add_argument("--port", type=_port, default=port or "7860", help="port to listen on")
    parser.add_argument("--root-path", default="", help="path under which a reverse proxy shows the page, such as /bird")
    parser.add_argument("--allow-host", action="append", default=[], help="a further name by which the page is addressed, as by a proxy")
    parser.add_argument("--votes", default=None, help="file to keep the blind votes in (SQLite); without it they end with the page")
    parser.add_argument("--auth", default=None, help="text file of who may see the page, name:password a line; without it everybody may")
    args = parser.parse_args(argv)
    try:
        people = read_passwords(args.auth)
        built = build(Session(args.checkpoints or None).check(), VoteStore(args.votes))
        serve(built, args.host, args.port, args.root_path, args.allow_host, people)
    except ValueError as error:  # CheckpointError, VoteError: which file, what was expected, what was found; or a port in use
        parser.exit(2, f"app.py: {error}\n")


if __name__ == "__main__":
    main()
