"""`dmm report`: figures, intervals and protocols of records that the tests write, and the page that the shipped records give."""

import csv
import html.parser
import io
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dmm.cli import app
from dmm.errors import InputError
from dmm.report import FORMATS, document, read_results, render
from dmm.report.layout import MISSING
from dmm.report.measures import AGREEMENT, FRECHET
from dmm.report.published import published
from dmm.report.records import Measure, figure, subject_of
from dmm.report.subjects import systems

ROOT = Path(__file__).parents[2]


def record(checkpoint="attngan-aviary", n=100, **metrics) -> dict:
    """A record as `dmm evaluate` writes it."""
    return {"checkpoint": checkpoint, "n": n, "split": "birds", "noise": "seeds", "seed": 1, "judge": {"weights_sha256": "aa"}} | {
        "metrics": metrics
    }


def agreement(mean, interval=None, protocol="first choice") -> dict:
    held = {"mean": mean} | ({"interval_95": interval} if interval else {})
    return {"generated": held, "ceiling_rendered": {"mean": 0.98}, "floor_shuffled": {"mean": 0.1}, "protocol": protocol}


@pytest.fixture
def results(tmp_path):
    """Write records by file name and read them."""

    def write(**records):
        for name, content in records.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return read_results(tmp_path)

    return write


def cells(results, key: str, column: str) -> dict[str, str]:
    """A table's column: row -> text."""
    table = next(table for table in document(results, "dmm report").tables if table.key == key)
    found = [c for c in table.columns if column in c.header]
    assert len(found) == 1, [c.header for c in table.columns]
    return dict(zip(table.rows, [cell.text for cell in found[0].cells], strict=True))


def test_figures_come_with_interval_and_protocol(results):
    found = results(a=record(attributes=agreement(0.5, [0.4, 0.6])), b=record("dmgan-aviary", attributes=agreement(0.75, [0.7, 0.8])))
    column = cells(found, "stages", "256 px")
    assert column["AttnGAN"] == "0.500 [0.400, 0.600]" and column["DM-GAN"] == "0.750 [0.700, 0.800]"
    assert column["StackGAN++"] == MISSING and column["rendered birds (ceiling)"] == "0.980"
    said = document(found, "dmm report").summary
    assert any("+0.250; the intervals do not overlap" in line for line in said)
    assert "DM-GAN 0.750 [0.700, 0.800], AttnGAN 0.500 [0.400, 0.600]" in said[0]


def test_overlapping_intervals_show_no_difference(results):
    found = results(a=record(attributes=agreement(0.5, [0.4, 0.6])), b=record("dmgan-aviary", attributes=agreement(0.55, [0.5, 0.6])))
    assert any("no difference could be shown" in line for line in document(found, "dmm report").summary)


@pytest.mark.parametrize("other", [{"n": 50}, {"split": "other birds"}, {"judge": {"weights_sha256": "bb"}}, {"noise": "truncated"}])
def test_another_protocol_never_shares_a_column_unsaid(results, other):
    second = record("dmgan-aviary", attributes=agreement(0.75)) | other
    found = results(a=record(attributes=agreement(0.5)), b=second, c=record("dmmgan-aviary", attributes=agreement(0.6)))
    column = cells(found, "stages", "256 px")
    marked = re.fullmatch(r"0.750 \((P\d+)\)", column["DM-GAN"])
    assert marked and column["AttnGAN"] == "0.500" and column["DMM-GAN"] == "0.600"
    notes = document(found, "dmm report").tables[-1].notes
    key, value = next(iter(other.items()))
    assert any(note.startswith(marked[1] + ":") and str(value if key != "judge" else "bb") in note for note in notes)
    assert any("by different protocols: no comparison" in line for line in document(found, "dmm report").summary)


def test_another_protocol_text_is_another_protocol(results):
    found = results(a=record(attributes=agreement(0.5)), b=record("dmgan-aviary", attributes=agreement(0.7, protocol="first three")))
    assert sum("(P" in text for text in cells(found, "stages", "256 px").values()) == 1


def test_the_record_of_most_captions_counts_and_mixed_weights_are_said(results):
    small, large = record(attributes=agreement(0.3), n=10), record(attributes=agreement(0.5), n=100)
    found = results(a=small | {"weights_sha256": "11"}, b=large | {"weights_sha256": "22"})
    assert figure(found, "attngan-aviary", AGREEMENT).value == 0.5
    assert "attngan-aviary: records of different weights (11, 22)." in document(found, "dmm report").tables[-1].notes


def test_what_does_not_apply_is_not_called_unmeasured(results):
    found = results(a=record())
    assert cells(found, "stages", "64 px")["DF-GAN"] == "–" and cells(found, "stages", "256 px")["DF-GAN"] == MISSING
    assert cells(found, "stages", "64 px")["GAN-INT-CLS"] == MISSING and cells(found, "stages", "128 px")["StackGAN"] == "–"
    assert cells(found, "stages", "256 px")["GAN-INT-CLS"] == "–" and cells(found, "stages", "256 px")["StackGAN"] == MISSING
    memory = cells(found, "memory", "in the global memory only")
    assert memory["DMM-GAN"] == MISSING and {memory[name] for name in systems() if name != "DMM-GAN"} == {"–"}
    words = cells(found, "memory", "in the words that refinements read")
    assert {name for name, text in words.items() if text == "–"} == {"GAN-INT-CLS", "StackGAN", "StackGAN++", "DF-GAN"}


def test_a_system_of_64_px_has_its_figures_in_the_column_of_64_px(results):
    """A record keeps the figure of the last picture apart; that of a small picture never stands among those of 256 px."""
    small = agreement(0.4, protocol="64 px") | {"by_size": {}}
    others = agreement(0.5) | {"by_size": {"64": agreement(0.3)}}
    found = results(
        a=record("gan-int-cls-aviary", attributes=small), b=record(attributes=others), c=record("dmgan-aviary", attributes=others)
    )
    column = cells(found, "stages", "64 px")
    assert column["AttnGAN"] == "0.300" and re.fullmatch(r"0.400 \(P\d+\)", column["GAN-INT-CLS"])
    assert cells(found, "stages", "256 px")["GAN-INT-CLS"] == "–" and "GAN-INT-CLS" not in document(found, "dmm report").summary[0]
    assert cells(found, "dmgan_table1", "Aviary")["GAN-INT-CLS"] == cells(found, "dmgan_table1", "Aviary")["StackGAN"] == MISSING
    assert cells(found, "dmgan_table1", "CUB")["GAN-INT-CLS"] == "2.88±0.04"


def test_figures_of_another_feature_network_have_columns_of_their_own(results):
    by_judge = {"generated": {"distance": 450.0}, "protocol": "judge"}
    network = {"name": "inception:a.pth", "weights_sha256": "cc"}
    by_inception = {"generated": {"distance": 30.0}, "protocol": "x", "feature_network": network}
    plain = results(a=record(fid=by_judge, n=50))
    assert not any("Inception-v3" in c.header for t in document(plain, "dmm report").tables for c in t.columns)
    found = results(a=record(fid=by_judge, n=50), b=record(fid=by_inception, n=100))
    assert cells(found, "dmgan_table2", "FID, Inception-v3")["AttnGAN"] == "30.00"
    assert cells(found, "dmgan_table2", "judge's features ↓ [")["AttnGAN"] == "450.0"
    assert any("feature network: cc" in note for note in document(found, "dmm report").tables[-1].notes)


def test_published_figures_are_carried_over_and_kept_apart(results):
    tables = {table.key: table for table in document(results(), "dmm report").tables}
    for table in tables.values():
        for column in table.columns:
            photographs = "CUB" in column.header or "COCO" in column.header
            assert photographs == (column.kind == "published") == ("(published)" in column.header), column.header
    assert cells(results(), "dmgan_table1", "CUB")["DM-GAN"] == "4.75±0.07"
    assert cells(results(), "dmgan_table2", "COCO (published): FID")["AttnGAN"] == "35.49"
    assert cells(results(), "dmgan_table3", "CUB (published): R-precision") == {
        "baseline": "68.60±0.73", "+M": "70.66±0.69", "+M+WG": "71.40±0.64", "+M+WG+RG": "72.31±0.91"
    }  # fmt: skip
    assert {source["source"][:5] for source in published()["sources"].values()} == {"Zhu e", "READM", "TISE "}


def test_a_file_belongs_to_the_recipe_of_its_checkpoint_or_name():
    assert subject_of("runs/attngan-aviary-gan", "x") == ("attngan-aviary", 0)
    assert subject_of("gan", "dmgan-aviary-m-memory") == ("dmgan-aviary-m", 0)
    assert subject_of("gan", "dmgan-aviary-memory") == ("dmgan-aviary", 0) and subject_of("gan", "birds") == ("gan", 0)
    assert subject_of("runs/dmgan-aviary-seed-1-gan", "x") == ("dmgan-aviary", 1)
    assert subject_of("runs/dmgan-aviary-seed-12/gan", "dmgan-aviary-seed-12-memory") == ("dmgan-aviary", 12)
    assert subject_of("runs/dmgan-aviary-m-seed-2-gan", "x") == ("dmgan-aviary-m", 2) and subject_of("cats-seed-3", "x") == ("cats", 3)


def test_a_second_run_of_a_recipe_is_never_taken_for_the_first(results):
    first, second, other = agreement(0.75, [0.7, 0.8]), agreement(0.5, [0.4, 0.6]), agreement(0.6)
    found = results(
        a=record("dmgan-aviary", attributes=first),
        b=record("runs/dmgan-aviary-seed-10-gan", attributes=agreement(0.7)),
        c=record("runs/dmgan-aviary-seed-2-gan", attributes=second),
        d=record("runs/mine", n=900, attributes=other) | {"checkpoint": "dmgan-aviary", "train_seed": 3},
        e=record("runs/cats-seed-3", attributes=other),
        f=record("dmmgan-aviary", attributes=agreement(0.875)),
    )
    assert cells(found, "stages", "256 px")["DM-GAN"] == "0.750 [0.700, 0.800]"
    column = cells(found, "second_runs", "captioned colours")
    assert list(column) == [f"DM-GAN, 256 px, seed {seed}" for seed in (0, 2, 3, 10)]
    assert column["DM-GAN, 256 px, seed 2"] == "0.500 [0.400, 0.600]" and column["DM-GAN, 256 px, seed 3"].startswith("0.600 (P")
    said = document(found, "dmm report").summary
    assert any(line.endswith("DM-GAN 0.750 and 0.500 and 0.600 and 0.700 (by different protocols).") for line in said)
    assert any("+0.125" in line and line.endswith("Another training run of one of them alone moved it by 0.250.") for line in said)


@pytest.mark.parametrize(("again", "told"), [(0.625, "overlap: no difference could be shown"), (0.875, "do not overlap")])
def test_two_systems_are_compared_over_their_training_runs(results, again, told):
    found = {"dmmgan-aviary": 0.75, "runs/dmmgan-aviary-seed-1-gan": again, "dmgan-aviary": 0.5, "runs/dmgan-aviary-seed-1-gan": 0.6875}
    made = results(**{f"r{i}": record(name, attributes=agreement(mean)) for i, (name, mean) in enumerate(found.items())})
    line = next(line for line in document(made, "dmm report").summary if "DMM-GAN against DM-GAN" in line)
    difference = (0.75 + again - 0.5 - 0.6875) / 2
    assert f"over 2 and 2 training runs it is {difference:+.3f}; runs of one recipe lie up to 0.188 apart" in line and line.endswith(
        told + "."
    )


def test_a_system_that_was_trained_once_has_its_figures_whatever_its_seed(results):
    made = results(
        a=record("dmgan-aviary", attributes=agreement(0.75)) | {"train_seed": 7},
        b=record("attngan-aviary", attributes=agreement(0.5)) | {"train_seed": "x"},
    )
    column = cells(made, "stages", "256 px")
    assert (column["DM-GAN"], column["AttnGAN"]) == ("0.750", "0.500")
    assert "second_runs" not in {table.key for table in document(made, "dmm report").tables}


def test_without_a_second_run_none_is_spoken_of(results):
    made = document(results(a=record("dmgan-aviary", attributes=agreement(0.75))), "dmm report")
    assert "second_runs" not in {table.key for table in made.tables} and not any("another seed" in line for line in made.summary)


def test_every_format_has_every_figure(results):
    fid = {"generated": {"distance": 12.34, "interval_95": [11, 13]}, "protocol": "100 % of <features> & a_b"}
    found = document(results(a=record(attributes=agreement(0.5), fid=fid)), "dmm report --out x_y.tex")
    texts = {form: render(found, form) for form in FORMATS}
    assert all("12.3 [11.0, 13.0]" in text and "15.52" in text for text in texts.values())
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    own = [row for row in rows if row["column"].endswith(FRECHET.label + " [P2]") and row["value"]]
    assert {(row["row"], row["value"], row["low"], row["high"], row["file"]) for row in own} == {("AttnGAN", "12.34", "11", "13", "a.json")}
    assert "<features>" not in texts["html"] and "&lt;features&gt; &amp; a_b" in texts["html"]
    assert r"100 \% of <features> \& a\_b" in texts["latex"]
    assert texts["latex"].count("\\begin{table}") == texts["latex"].count("\\end{table}") == len(found.tables) - 1
    parser = _Balance()
    parser.feed(texts["html"])
    assert parser.open == []


class _Balance(html.parser.HTMLParser):
    """Complains about a tag that closes another."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="expected a folder"):
        read_results(tmp_path / "none")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="bad.json: expected JSON"):
        read_results(tmp_path)
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(InputError, match="bad.json: expected a JSON object"):
        read_results(tmp_path)


@pytest.mark.parametrize("rows", ["null", "3", '{"sampling": 1}', '[null, "sampling"]'])
def test_a_file_whose_rows_are_of_no_bench_is_another(tmp_path, rows):
    (tmp_path / "a.json").write_text(f'{{"rows": {rows}}}')
    assert read_results(tmp_path).others == ["a.json"]


def test_the_command_chooses_the_format_and_refuses_others(tmp_path):
    (tmp_path / "results").mkdir()
    command = ["report", "--results", str(tmp_path / "results")]
    for name, begins in (("a.md", "# Results"), ("a.html", "<!doctype"), ("a.tex", "% Made by"), ("a.csv", "table,row")):
        result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / name)])
        assert result.exit_code == 0 and (tmp_path / name).read_text().startswith(begins), result.output
    assert CliRunner().invoke(app, command).output.startswith("# Results")
    for wrong in (["--out", str(tmp_path / "a.doc")], ["--format", "word"]):
        result = CliRunner().invoke(app, [*command, *wrong])
        assert result.exit_code == 2 and "expected" in result.output
    assert not (tmp_path / "a.doc").exists()


def test_the_page_of_results_is_what_the_records_give():
    text = render(document(read_results(ROOT / "assets" / "results"), "dmm report --out docs/results.md"), "markdown")
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == text, "docs/results.md is not what assets/results gives; make it anew: dmm report --out docs/results.md"


def test_a_measure_without_a_value_is_not_measured(results):
    found = results(a=record(fid={"generated": {"distance": None}, "protocol": "x"}))
    assert figure(found, "attngan-aviary", FRECHET) is None
    assert figure(found, "attngan-aviary", Measure("x", "fid", ("generated", "distance", "deeper"))) is None


def test_every_measure_of_the_memory_finds_its_figure_in_a_record_of_today():
    """A key of `dmm evaluate --metrics memory` that has another name would read "not measured" for ever."""
    found = read_results(ROOT / "assets" / "results")
    table = next(table for table in document(found, "dmm report").tables if table.key == "memory")
    row = table.rows.index("DMM-GAN")
    assert all(column.cells[row].value is not None for column in table.columns)
