"""The files for hosts: a Hugging Face Space's front matter and requirements, and an image, whose commands run here without Docker."""

from __future__ import annotations

import configparser
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import yaml

from tests.browser.conftest import free_port, wait_until_up

ROOT = Path(__file__).parent.parent


def lines(name: str) -> list[str]:
    """Of a file, without comments and empty ones; a line that goes on is one."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions, name and rest, by stage."""
    found: list[list[tuple[str, str]]] = []
    for line in lines("Dockerfile"):
        name, _, rest = line.strip().partition(" ")
        found += [[]] if name == "FROM" else []
        found[-1].append((name, rest.strip()))
    return found


def copied(stage: list[tuple[str, str]]) -> list[str]:
    """What a stage copies of the project."""
    sources = [rest.split()[:-1] for name, rest in stage if name == "COPY" and not rest.startswith("--from")]
    return [source for group in sources for source in group]


def kept(path: str) -> bool:
    """Whether .dockerignore lets a path into the build: its last rule decides that matches the path or a folder above it."""
    found, above = True, [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
    for rule in lines(".dockerignore"):
        pattern = rule.removeprefix("!").removeprefix("**/")
        if any(fnmatch.fnmatchcase(one.name if "**/" in rule else str(one), pattern) for one in above):
            found = rule.startswith("!")
    return found


def test_a_space_is_told_what_to_run():
    _, front, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    said = yaml.safe_load(front)
    pins = dict(line.split(" ")[0].split("==") for line in lines("constraints.txt"))
    assert (said["sdk"], said["sdk_version"], said["license"]) == ("gradio", pins["gradio"], "mit")
    assert (ROOT / said["app_file"]).is_file() and len(said["short_description"]) <= 60
    assert re.fullmatch(r"3\.1[0-3]", said["python_version"])


def test_its_requirements_are_ours():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert lines("requirements.txt") == setup["options"]["install_requires"].strip().splitlines()


def test_everything_that_is_copied_is_there_and_nothing_else_is_sent(stages):
    for source in [source for stage in stages for source in copied(stage)]:
        assert (ROOT / source).exists() and kept(source), source
    for path in (".git/HEAD", ".venv/bin/python", "runs/my-gan/last.pt", "tests/data/a", "assets/readme/page.gif", "dmm/__pycache__/a.pyc"):
        assert not kept(path), path
    assert (
        kept("explorer/static/page.js") and kept("dmm/recipes/aviary.yaml") and kept("assets/checkpoints/dmmgan-aviary/model.safetensors")
    )


def test_the_image_is_small_and_its_user_is_nobody_in_particular(stages):
    first, last = stages
    assert [rest for name, rest in first if name == "FROM"] == ["python:3.12-slim AS packages"] and last[0] == ("FROM", "python:3.12-slim")
    run = " ".join(rest for name, rest in last if name == "RUN")
    assert "useradd" in run and not re.search(r"pip|apt|gcc|install", run)
    assert [rest for name, rest in last if name == "USER"] == ["explorer"]
    assert "--constraint /constraints.txt --requirement /requirements.txt" in first[-1][1]


def test_its_command_serves_the_page_and_its_health_check_asks_for_it(stages, tmp_path):
    last = stages[-1]
    for source in copied(last):
        name = PurePosixPath(source)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    rest = dict(last)
    settings = dict(pair.partition("=")[::2] for pair in shlex.split(rest["ENV"]))
    assert settings["HOST"] == "0.0.0.0" and settings["PORT"] == rest["EXPOSE"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "DMM_"))}
    environment |= {"HOST": "127.0.0.1", "PORT": str(free_port())}
    (command, check) = (json.loads(text[text.index("[") :]) for text in (rest["ENTRYPOINT"], rest["HEALTHCHECK"]))
    assert command[0] == check[0] == "python"

    def healthy() -> bool:
        return subprocess.run([sys.executable, *check[1:]], env=environment, capture_output=True, timeout=300).returncode == 0

    assert not healthy()
    log = tmp_path / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *command[1:]], cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until_up(process, f"http://127.0.0.1:{environment['PORT']}/", log)
            assert healthy()
        finally:
            process.terminate()
            process.wait(timeout=60)
