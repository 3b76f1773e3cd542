"""What an installation is made of: metadata, pins, the two commands, and the size of what is shipped."""

from __future__ import annotations

import ast
import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from setuptools import find_packages
from typer.testing import CliRunner

import dmm.cli

ROOT = Path(__file__).parent.parent
MEBIBYTE = 1 << 20

#: Import name -> distribution, where the two differ.
DISTRIBUTION = {"PIL": "pillow", "yaml": "pyyaml"}
#: The one file that may import a package of an extra when it is imported.
NOTEBOOK_ONLY = {"explorer/widgets.py": {"ipywidgets", "IPython"}}


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirement_names(text: str) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", line.strip())[0].lower() for line in text.splitlines() if line.strip() and not line.startswith("#")}


@pytest.fixture(scope="module")
def pins():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [re.fullmatch(r"([a-z0-9.-]+)==([^ ;]+)(?: ; (.+))?", line).groups() for line in lines]


def test_only_our_two_packages_are_installed():
    packages = find_packages(str(ROOT), include=["dmm", "dmm.*", "explorer", "explorer.*"])
    assert {name.split(".")[0] for name in packages} == {"dmm", "explorer"}
    for folder in ("dmm", "explorer"):
        code = {str(p.parent.relative_to(ROOT)).replace("/", ".") for p in (ROOT / folder).rglob("*.py")}
        assert code <= set(packages), "a folder with code has no __init__.py"


def test_every_requirement_is_pinned_for_every_python(setup, pins):
    markers = pytest.importorskip("packaging.markers")
    wanted = requirement_names(setup["options"]["install_requires"])
    for extra in setup["options.extras_require"].values():
        wanted |= requirement_names(extra)
    for python in ("3.10.0", "3.11.7", "3.12.1", "3.13.0"):
        environment = {"python_full_version": python, "python_version": python.rsplit(".", 1)[0]}
        here = [name for name, _, marker in pins if marker is None or markers.Marker(marker).evaluate(environment)]
        assert len(here) == len(set(here)), f"two pins of one package under Python {python}"
        assert wanted - set(here) == set(), f"not pinned under Python {python}"


def test_torch_is_pinned_once_for_all(pins):
    assert [(version, marker) for name, version, marker in pins if name == "torch"] == [("2.13.0", None)]
    assert not any(name == "torchvision" for name, _, _ in pins)


@pytest.mark.parametrize("extra", ["test", "docs", "metrics"])
def test_extras(setup, extra):
    assert setup["options.extras_require"][extra].strip()


@pytest.mark.parametrize("path", [*(ROOT / "dmm").rglob("*.py"), *(ROOT / "explorer").rglob("*.py"), ROOT / "app.py"], ids=lambda p: p.stem)
def test_what_is_imported_first_thing_is_a_base_requirement(setup, path):
    base = requirement_names(setup["options"]["install_requires"])
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    foreign = names - set(sys.stdlib_module_names) - {"dmm", "explorer"} - NOTEBOOK_ONLY.get(path.relative_to(ROOT).as_posix(), set())
    assert {DISTRIBUTION.get(name, name) for name in foreign} <= base


def test_both_console_scripts_are_there(setup):
    scripts = dict(line.split(" = ") for line in setup["options.entry_points"]["console_scripts"].strip().splitlines())
    assert scripts == {"dmm": "dmm.cli:app", "explorer": "explorer.cli:app"}
    for target in scripts.values():
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_version_is_that_of_the_installation():
    installed = metadata.version("dmm-gan-explorer")
    assert dmm.__version__ == installed and "__version__" in dir(dmm)
    answer = CliRunner().invoke(dmm.cli.app, ["--version"])
    assert (answer.exit_code, answer.output) == (0, f"dmm {installed}\n")


def test_a_tree_without_a_version_says_the_one_that_is_being_made(setup, monkeypatch):
    assert "version" not in setup["metadata"]  # it comes from the tag
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE).group(1)
    assert newest in ("Unreleased", cited)

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    fallback = re.search(r'^fallback_version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    assert dmm.__version__ == fallback == f"{cited}.dev0"
    assert CliRunner().invoke(dmm.cli.app, ["--version"]).output == f"dmm {fallback}\n"


@pytest.fixture
def tree(tmp_path):
    """A copy of what the metadata is made from, without .git."""
    shutil.copytree(ROOT / "dmm", tmp_path / "tree/dmm", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / "tree")
    return tmp_path / "tree"


def git(tree, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *arguments]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)


def built_version(tree, **environment) -> str:
    """The version that an installation of a tree would have."""
    program = "import sys; from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_editable(sys.argv[1]))"
    with tempfile.TemporaryDirectory() as out:
        run = subprocess.run([sys.executable, "-c", program, out], cwd=tree, capture_output=True, text=True, env=os.environ | environment)
    assert run.returncode == 0, run.stderr
    return re.fullmatch(r"dmm_gan_explorer-(.+)\.dist-info", run.stdout.splitlines()[-1])[1]


def test_the_version_comes_from_the_tag(tree):
    if shutil.which("git") is None:
        pytest.skip("no git")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    assert re.fullmatch(
        rf"{dmm._UNTAGGED.removesuffix('0')}1\+g[0-9a-f]+", built_version(tree)
    )  # how continuous integration installs it: no tag yet
    git(tree, "tag", "v3.4.5")
    assert built_version(tree) == "3.4.5"
    git(tree, "commit", "-q", "--allow-empty", "-m", "two")
    assert re.fullmatch(r"3\.4\.6\.dev1\+g[0-9a-f]+", built_version(tree))
    assert built_version(tree, PATH="") == dmm._UNTAGGED  # git is not there


def test_a_version_is_found_in_a_tree_without_git(tree):
    assert built_version(tree) == dmm._UNTAGGED


def test_a_tag_is_released_if_the_changelog_and_the_citation_know_it(tree):
    def released(tag):
        command = [sys.executable, ROOT / ".ci/release.py", tag]
        run = subprocess.run(command, cwd=tree, capture_output=True, text=True)
        return run.returncode, (run.stdout or run.stderr).strip()

    (tree / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 0.1.0\n")
    (tree / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- c\n\n## 0.1.0 (2026-11-26)\n\n- b\n\n## 0.0.9\n\n## 0.0.8\n\n- a\n"
    )
    assert released("v0.1.0") == (0, "- b")
    assert released("v0.2.0") == (1, "v0.2.0: CHANGELOG.md has no section '## 0.2.0' that says something")
    assert released("v0.0.9") == (1, "v0.0.9: CHANGELOG.md has no section '## 0.0.9' that says something")
    assert released("v0.0.8") == (1, "v0.0.8: CITATION.cff says version 0.1.0")
    assert released("v1") == (1, "v1: expected a tag like v1.2.3")
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads "on" as true
    steps = [step.get("run", "") for step in workflow["jobs"]["release"]["steps"]]
    check, wheel = (next(i for i, step in enumerate(steps) if text in step) for text in (".ci/release.py", "pip wheel"))
    assert check < wheel and workflow["jobs"]["release"]["steps"][0]["with"]["fetch-depth"] == 0


def test_the_readme_opens_with_a_picture_and_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]  # without the front matter of a Space
    lines = text.strip().splitlines()[:30]
    picture = next(i for i, line in enumerate(lines) if line.startswith("!["))
    assert picture <= 3
    assert {"make app", "make test"} <= {line.split("#")[0].strip() for line in lines}


def test_the_readmes_pictures_and_links_are_there():
    for path in (*map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert target.startswith("http") or (path.parent / target).exists(), f"{path.name} points to {target}"


def test_continuous_integration_runs_make_test():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert [line for line in script.splitlines() if line and not line.startswith("#")] == ['cd "$(dirname "$0")/.." && exec make test']


def test_make_alone_lists_the_targets():
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make")
    out = subprocess.run([make, "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"make app", "make test"} <= {" ".join(line.split()[:2]) for line in out.stdout.splitlines()}


@pytest.mark.parametrize(("folder", "limit"), [("tests/data", 12), ("assets/checkpoints", 66)])
def test_what_is_shipped_stays_small(folder, limit):
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run([git, "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    sizes = {name: (ROOT / name).stat().st_size for name in names if name and (ROOT / name).exists()}
    assert sum(sizes.values()) <= limit * MEBIBYTE, sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert max(sizes.values()) <= 16_000_000, max(sizes, key=sizes.get)
