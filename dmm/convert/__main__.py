"""``python -m dmm.convert replay FILE...``: replay reference cases, print each tensor's difference, fail above the tolerance."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from dmm.convert import ConvertError, replay, tolerance


def report(path: Path, dtype: torch.dtype, every: bool) -> bool:
    """Print one case's table; true if all of it is within the tolerance."""
    found = replay(path, dtype)
    limits = {name: tolerance(name, dtype, step=any(key.startswith("mid/gradG/") for key in found)) for name in found}
    bad = [name for name, value in found.items() if value > limits[name]]
    for name in sorted(found) if every else bad:
        print(f"  {name:<60} {found[name]:.2e}  allowed {limits[name]:.0e}{'  DIFFERS' if name in bad else ''}")
    verdict = f"{len(bad)} differ" if bad else "all within tolerance"
    print(f"{path.name}: {len(found)} tensors, largest difference {max(found.values(), default=0.0):.2e}, {verdict}")
    return not bad


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all within tolerance, 1 something differs, 2 a file cannot be replayed."""
    parser = argparse.ArgumentParser(prog="python -m dmm.convert", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("replay", help="replay reference cases through this project's networks")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".safetensors case")
    command.add_argument("--dtype", choices=("float32", "float64"), default="float64", help="precision of the replay")
    command.add_argument("--quiet", action="store_true", help="list only tensors that differ")
    options = parser.parse_args(arguments)
    status = 0
    for path in options.files:
        try:
            good = report(path, getattr(torch, options.dtype), not options.quiet)
        except ConvertError as error:
            print(error, file=sys.stderr)
            status = 2
            continue
        status = max(status, 0 if good else 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
