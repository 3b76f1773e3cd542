"""The README's moving picture: the page on the shipped model, driven as a reader would drive it.

    .venv/bin/python website/readme_gif.py                 # writes assets/readme/page.gif

Needs what `make test` installs, and a Chromium. A caption is read, a word is pointed at, another one chosen, a region dragged over, and a
word muted in the memory.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

VIEW = {"width": 1200, "height": 780}  # px of the browser
WIDTH = 760  # px of the film
COLOURS = 256  # of a frame
CAPTION = "this small bird has a red crown and a white belly"
DONE = (
    "([caption, edits]) => { const page = document.querySelector('.ex');"
    " return page && page.dataset.caption === caption && document.querySelectorAll('.ex-edits li').length === edits"
    " && !document.querySelector('.is-generating'); }"
)


class Film:
    """Screenshots with the time that each is shown."""

    def __init__(self, page):
        self.page, self.frames, self.times = page, [], []

    def shoot(self, milliseconds: int) -> None:
        """Take what the browser shows now."""
        self.page.wait_for_timeout(250)  # transitions of the page run out
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append(picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS))
        self.times.append(milliseconds)

    def save(self, path: Path) -> None:
        """Write a GIF; each frame has the colours that it needs, and pictures are dithered."""
        frames = [frame.quantize(palette=frame.quantize(COLOURS), dither=Image.Dither.FLOYDSTEINBERG) for frame in self.frames]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=self.times, loop=0, optimize=False)


def play(page, film: Film) -> None:
    """The scenes."""
    page.get_by_role("button", name="End the tour").click()
    page.get_by_label("Caption").fill(CAPTION)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function(DONE, arg=[CAPTION, 0], timeout=120_000)
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)
    page.locator(".ex-caption").scroll_into_view_if_needed()
    film.shoot(1500)
    for word in ("small", "red", "crown", "white", "belly"):
        page.locator(f'.ex-caption .ex-word[data-word="{word}"]').first.hover()
        film.shoot(1100)
    page.locator('.ex-caption .ex-word[data-word="red"]').first.click()
    box = page.locator('[data-stage="1"] .ex-picture').bounding_box()
    corners = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ((0.4, 0.1), (0.55, 0.25), (0.75, 0.45))]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
        film.shoot(700)
    page.mouse.up()
    film.shoot(2000)
    page.keyboard.press("Escape")
    word = page.locator('.ex-caption .ex-word[data-word="red"]').first
    if word.get_attribute("aria-pressed") != "true":  # a second click would let go of it
        word.click()
    form = page.locator('.ex-form[data-edit="mute"]')
    form.scroll_into_view_if_needed()
    film.shoot(1500)
    form.get_by_role("button").click()
    page.wait_for_function(DONE, arg=[CAPTION, 1], timeout=120_000)
    page.locator(".ex-triple").first.evaluate("pictures => pictures.scrollIntoView({block: 'center'})")
    film.shoot(3000)


def main() -> None:
    """Serve the page, play, write the film, and say how large it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "assets" / "readme" / "page.gif", help="file to write")
    out = parser.parse_args().out
    import chromium
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import serving

    with tempfile.TemporaryDirectory() as folder, serving("dmmgan-aviary", Path(folder) / "log.txt") as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.find())
        page = browser.new_page(viewport=VIEW, color_scheme="light")
        page.goto(url)
        page.wait_for_selector(".ex-chip", timeout=120_000)
        film = Film(page)
        play(page, film)
        browser.close()
    film.save(out)
    print(f"{out}: {len(film.frames)} frames, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
