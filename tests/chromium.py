"""Which Chromium the browser tests drive: an installed one, else Playwright's, else the system package where that is permitted.

``python tests/chromium.py`` prints its path, installing one first if there is none; it fails, and says why, if none can be had.
``CHROMIUM=/path/to/chrome`` names one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = ("/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def runs(path: str | None) -> bool:
    """Whether the program starts and tells its version (a stub that only points to another package does not)."""
    if not path or not os.access(path, os.X_OK):
        return False
    try:
        return subprocess.run([path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def playwrights_own() -> str:
    """Where Playwright keeps its Chromium, installed or not."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def find() -> str | None:
    """Path of a Chromium that starts, or None.

    Raises:
        FileNotFoundError: ``CHROMIUM`` names a program that does not start.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        if not runs(named):
            raise FileNotFoundError(f"CHROMIUM={named} does not start; unset it or name a Chromium that does")
        return named
    for path in (*map(shutil.which, NAMES), *MAC):
        if runs(path):
            return path
    own = playwrights_own()
    return own if runs(own) else None


def install() -> str | None:
    """Get one: Playwright's build, else the Debian package. Returns its path, or None after saying what failed."""
    attempts = [[[sys.executable, "-m", "playwright", "install", "chromium"]]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        attempts.append([["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-liberation"]])
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for commands in attempts:
        for command in commands:
            print("Chromium: trying", " ".join(command), file=sys.stderr, flush=True)
            try:
                code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment, timeout=600).returncode
            except subprocess.TimeoutExpired:
                code = "no answer in 600 s"
            if code:
                print(f"Chromium: that failed ({code})", file=sys.stderr)
        if path := find():
            return path
    return None


def main() -> int:
    """Print the path; 1 if no Chromium can be had."""
    try:
        path = find() or install()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    if path is None:
        print("No Chromium found and none could be installed. Install Chromium or Chrome, or set CHROMIUM to its path.", file=sys.stderr)
        return 1
    print("Chromium:", path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
