"""The figure of the effects of words: bars that are the numbers, rows that are exact, texts that stay apart."""

from __future__ import annotations

import csv

import pytest
import torch
from typer.testing import CliRunner

from dmm.checkpoint import save
from dmm.metrics.effects import WordEffect, WordEffects, word_effects
from explorer import figures
from explorer.cli import app
from explorer.figures import FigureError
from explorer.figures.export import FORMATS, export
from tests.explorer.handmade import make_trace
from tests.explorer.test_figures import LONG, apart, legible
from tests.explorer.toy import CAPTION, toy_pipeline

NAMES = ("initial", "memory_128", "memory_256", "global", "total")


def made_up(words: int = 4, caption: str = CAPTION) -> WordEffects:
    """Effects with known numbers: word k changes the picture by (k + 1) times 0.1, 0.2, 0.3, 0.4 on the pathways, and by k + 1 in all."""
    base = torch.zeros(3, 8, 8)
    found = []
    for k in range(words):
        changes = {name: 0.1 * (j + 1) * (k + 1) for j, name in enumerate(NAMES[:-1])} | {"total": float(k + 1)}
        pictures = {name: base + change for name, change in changes.items()}
        found.append(WordEffect(k + 1, f"word{k}", "red" if k % 2 else None, changes, pictures, base))
    return WordEffects(caption, 3, NAMES, tuple(found), base)


def test_rows_are_the_numbers():
    rows = figures.draw("memory-effects", [made_up()]).rows
    assert len(rows) == 4 * 5
    second = [row for row in rows if row["word"] == "word1"]
    assert [row["pathway"] for row in second] == list(NAMES)
    assert [row["change"] for row in second] == pytest.approx([0.2, 0.4, 0.6, 0.8, 2.0])
    assert [row["share_of_total"] for row in second] == pytest.approx([0.1, 0.2, 0.3, 0.4, 1.0])
    assert {(row["caption"], row["seed"], row["position"], row["other"]) for row in second} == {(CAPTION, 3, 2, "red")}


def test_the_words_of_the_largest_effect_are_shown_exchanged():
    rows = figures.draw("word-exchange", [made_up(6)], rows=2).rows
    assert [(row["word"], row["pathway"]) for row in rows] == [(word, name) for word in ("word3", "word5") for name in NAMES]
    assert [row["change"] for row in rows[:5]] == pytest.approx([0.4, 0.8, 1.2, 1.6, 4.0]) and {row["other"] for row in rows} == {"red"}


@pytest.mark.parametrize("name", ["memory-effects", "word-exchange"])
@pytest.mark.parametrize("effects", [made_up(), made_up(30, LONG), made_up(0)], ids=["few", "many", "none"])
def test_texts_do_not_overlap_and_files_repeat(name, effects, tmp_path):
    result = figures.draw(name, [effects])
    apart(result.figure)
    legible(name, result.figure)
    one = export(result, tmp_path / "one", name, FORMATS)
    two = export(figures.draw(name, [effects]), tmp_path / "two", name, FORMATS)
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, two, strict=True))


def test_only_effects_of_one_caption_fit():
    with pytest.raises(FigureError, match="expected effects of words"):
        figures.draw("memory-effects", [make_trace()])
    for name in ("memory-effects", "word-exchange"):
        with pytest.raises(FigureError, match="one caption, found 2"):
            figures.draw(name, [made_up(), made_up()])
    with pytest.raises(FigureError, match="expected generated captions"):
        figures.draw("dmgan-fig4", [made_up()])


def test_the_command_writes_what_the_function_computes(tmp_path):
    pipe = toy_pipeline()
    save(pipe, tmp_path / "toy")
    command = ["figures", "memory-effects", "--model", tmp_path / "toy", "--out", tmp_path, "--format", "csv,png", "--caption", CAPTION]
    answer = CliRunner().invoke(app, [str(a) for a in command])
    assert answer.exit_code == 0, answer.output
    rows = list(csv.DictReader((tmp_path / "memory-effects.csv").open()))
    expected = word_effects(pipe.fused(), CAPTION, 3)
    assert [row["word"] for row in rows[:: len(expected.pathways)]] == [word.word for word in expected.words]
    for row in rows:
        change = expected.for_word(int(row["position"])).changes[row["pathway"]]
        assert float(row["change"]) == pytest.approx(change, rel=1e-3, abs=1e-6)
