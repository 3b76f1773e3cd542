"""CONTRIBUTING.md is true: every module and Trace field of its glossary is there, and its picture of the imports is the tested one."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from dmm.trace import StageTrace, Trace
from tests.test_imports import LAYERS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.partition("## Glossary")[2].partition("Words used in one sense")[0].splitlines()
    if line.startswith("| ")
][1:]
FIELDS = {field.name for record in (StageTrace, Trace) for field in dataclasses.fields(record)}


def find(name: str, before: str) -> str:
    """The module in which a name of the glossary is; one without a module is beside the one before."""
    name = f"{before}.{name}" if name[0].isupper() else f"dmm.{name}"
    try:
        importlib.import_module(name)
        return name
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member), name
        return module


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_module_and_field_of_the_glossary_is_there(row):
    _, _, equation, modules, fields = row
    place = ""
    for name in re.findall(r"`([^`]+)`", modules):
        place = find(name, place)
    assert place and equation
    assert {name.rpartition(".")[2] for name in re.findall(r"`([^`]+)`", fields)} <= FIELDS


def test_equation_numbers_are_those_of_the_glossary():
    """A term with an equation's number beside it, in code, documents and notebooks; and no number beyond the papers'."""
    numbers = {row[0].split(" (")[0].split(",")[0]: row[2] for row in ROWS if re.fullmatch(r"(AttnGAN )?\d+", row[2])}
    assert numbers["writing gate"] == "7" and numbers["word attention"] == "AttnGAN 2"
    folders = ("dmm", "explorer", "docs", "notebooks")
    files = [file for folder in folders for ending in ("py", "md", "ipynb", "js") for file in (ROOT / folder).rglob(f"*.{ending}")]
    cited = []
    for file in [*files, ROOT / "README.md"]:
        text = " ".join(file.read_text(encoding="utf-8").split())
        for term, number in numbers.items():
            for paper, found in re.findall(rf"\b{term}\W+(?:DM-GAN,? |(AttnGAN),? )?Eq\. (\d+)", text, flags=re.IGNORECASE):
                cited.append((file.name, term, f"{paper} {found}".strip(), number))
        assert all(1 <= int(n) <= 14 for n in re.findall(r"\bEqs?\.(?: |&nbsp;)(\d+)", text)), file
    assert len(cited) > 20 and [one for one in cited if one[2] != one[3]] == []


def test_the_picture_of_the_imports_is_the_tested_one():
    picture = re.search(r"^    errors, .*?<- cli$", TEXT, flags=re.MULTILINE | re.DOTALL).group()
    assert tuple(tuple(row.strip().split(", ")) for row in " ".join(picture.split()).split("<-")) == LAYERS
