"""The README's badges, drawn from setup.cfg: what the project itself says, with no service in between.

.venv/bin/python website/badges.py                     # writes assets/readme/badge-*.svg
"""

from __future__ import annotations

import configparser
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assets" / "readme"
LETTER, PAD, HEIGHT = 6.6, 9.0, 20  # px: mean width of a letter at 11 px, beside the text, of a badge


def badge(name: str, value: str, colour: str) -> str:
    """An SVG of two boxes, named for readers that do not see it."""
    left, right = (round(len(text) * LETTER + 2 * PAD) for text in (name, value))
    said = escape(f"{name}: {value}")
    texts = ((left / 2, name), (left + right / 2, value))
    written = "".join(f'<text x="{x:g}" y="14" text-anchor="middle">{escape(text)}</text>' for x, text in texts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" role="img" aria-label="{said}">'
        f"<title>{said}</title>"
        f'<rect width="{left}" height="{HEIGHT}" fill="#444"/><rect x="{left}" width="{right}" height="{HEIGHT}" fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{written}</g></svg>\n'
    )


def badges() -> dict[str, str]:
    """File name -> SVG: supported Pythons, licence, and the command that tests the project."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    kinds = setup["metadata"]["classifiers"].splitlines()
    pythons = [kind.rsplit(" ", 1)[1] for kind in kinds if kind.startswith("Programming Language :: Python :: 3.")]
    return {
        "badge-python.svg": badge("python", " | ".join(pythons), "#0072b2"),
        "badge-licence.svg": badge("licence", setup["metadata"]["license"], "#00785a"),
        "badge-tests.svg": badge("tests", "make test", "#7a4a9e"),
    }


def main() -> None:
    """Write them."""
    for name, svg in badges().items():
        (FOLDER / name).write_text(svg, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
