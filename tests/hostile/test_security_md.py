"""The table of limits in SECURITY.md is the one that the code keeps."""

import inspect
import re
from pathlib import Path

from dmm.data.transforms import PIXELS, PIXELS_A_BYTE
from dmm.files import LIMITS
from explorer.launch import SESSIONS
from explorer.readings import UPLOAD_BYTES, UPLOAD_PIXELS
from explorer.request_guard import LARGEST, LARGEST_PICTURE, PATIENCE
from explorer.session import Session
from explorer.sign_in import TRIES, WAIT
from explorer.votes import MOST
from tests.hostile import sandbox

TEXT = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")


def test_the_limits_are_those_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert {name: (int(value), said) for name, value, said in rows} == LIMITS | TRIES
    assert all(f"{WAIT / 60:.0f} minutes" in said for name, (_, said) in TRIES.items() if name != "tries_kept")


def test_the_further_figures_are_those_of_the_code():
    text = " ".join(TEXT.split())
    assert f"at most {PIXELS // 10**6} million pixels, or {PIXELS_A_BYTE} for each byte" in text
    assert f"questions of at most {LARGEST:,} bytes" in text and f"inside a question of at most {LARGEST_PICTURE:,} bytes" in text
    assert f"of at most {UPLOAD_BYTES >> 20} MiB and {UPLOAD_PIXELS:,} pixels" in text and f"at most {MOST:,} votes" in text
    assert f"{sandbox.MEMORY >> 20} MB beyond what the process has, {sandbox.SECONDS} seconds of CPU time" in text


def test_what_the_page_keeps_is_what_the_code_keeps():
    kept = inspect.signature(Session).parameters
    assert f"at most {kept['capacity'].default} captions and {kept['megabytes'].default} MB" in " ".join(TEXT.split())
    assert f"of its visitors the last {SESSIONS}" in " ".join(TEXT.split())
    assert f"has {PATIENCE:.0f} seconds to complete the head" in TEXT
