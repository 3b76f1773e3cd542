"""`dmm data check` and `dmm data prepare` as a user meets them: one screen, exit codes, JSON."""

import json

import pytest
from typer.testing import CliRunner

from dmm.cli.data import app
from tests.data import layouts


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_good_folder(tmp_path):
    layouts.folder(tmp_path)
    checked = run("check", tmp_path)
    assert checked.exit_code == 0 and "4: 4 to train on, 0 to test" in checked.stdout and "problems:   0" in checked.stdout
    assert f"dmm data prepare {tmp_path}" in checked.stdout
    prepared = run("prepare", tmp_path, "--sizes", "16,32", "--workers", 1)
    assert prepared.exit_code == 0 and f"dmm train match --set source={tmp_path}" in prepared.stdout
    assert len((tmp_path / "prepared" / "pictures.jsonl").read_text().splitlines()) == 4


def test_problems_are_listed_up_to_twenty(tmp_path):
    layouts.folder(tmp_path, 30)
    for k in range(25):
        (tmp_path / f"{k}.png").unlink()
    (tmp_path / "27.png").write_bytes(b"broken")
    checked = run("check", tmp_path, "--workers", 1)
    assert checked.exit_code == 1 and "problems:   26" in checked.stdout and "and 6 more" in checked.stdout
    assert sum(line.startswith("  ") and ".png: " in line for line in checked.stdout.splitlines()) == 20
    found = json.loads(run("check", tmp_path, "--json", "--quick").stdout)
    assert len(found["problems"]) == 25 and found["train"] == 5 and found["decoded"] is False


def test_names_never_reach_the_terminal_raw(tmp_path):
    layouts.folder(tmp_path, 2)
    for name in ("\x1b[31mred.png", "\u202egnp.png"):
        layouts.picture(tmp_path / name)
    with open(tmp_path / "metadata.jsonl", "a") as file:
        file.write('{"file_name": "\\u001b]0;title\\u0007.png", "text": "a"}\n')
    checked = run("check", tmp_path, "--workers", 1)
    assert checked.exit_code == 1 and "\\x1b[31mred.png" in checked.stdout and "\\u202e" in checked.stdout
    assert all(line.isprintable() for line in checked.stdout.splitlines())


def test_unusable(tmp_path):
    empty = run("check", tmp_path)
    assert empty.exit_code == 2 and "looked for" in empty.stderr and "metadata.jsonl" in empty.stderr
    layouts.folder(tmp_path, 1)
    (tmp_path / "0.png").write_bytes(b"broken")
    assert run("check", tmp_path).exit_code == 2
    assert run("prepare", tmp_path, "--sizes", "wide").exit_code == 2
    assert run("prepare", tmp_path / "none").exit_code == 2


@pytest.mark.parametrize(("policy", "code"), [("skip", 0), ("stop", 1), ("hope", 2)])
def test_broken_pictures(tmp_path, policy, code):
    layouts.folder(tmp_path)
    (tmp_path / "1.png").write_bytes(b"broken")
    result = run("prepare", tmp_path, "--sizes", "16", "--broken", policy)
    assert result.exit_code == code
    assert "1.png" in (result.stdout if code == 0 else result.stderr) or code == 2


def test_prepare_for_programs(tmp_path):
    layouts.coco(tmp_path / "coco")
    result = run("prepare", tmp_path / "coco", "--out", tmp_path / "out", "--sizes", "16", "--json")
    found = json.loads(result.stdout)
    assert (found["train"], found["test"], found["directory"]) == (3, 1, str(tmp_path / "out"))
