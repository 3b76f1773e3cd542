"""Tables, the 2x2, memories side by side and votes: what is drawn is what the records say, for one record and for eight systems."""

from __future__ import annotations

import json
import math

import pytest

from dmm.report import read_results
from dmm.report.layout import MISSING, NONE
from dmm.report.subjects import ABLATION, TWO_BY_TWO, systems
from dmm.report.tables import document
from explorer import figures, gather
from explorer.agreement import exact_interval
from explorer.ballots import BlindVote, outcome, read_table, two_of
from explorer.figures import FigureError
from explorer.figures.export import FORMATS, export
from explorer.session import Session
from explorer.votes import Vote, VoteError, VoteStore
from tests.explorer.test_cli import explorer
from tests.explorer.test_figures import apart, boxes, legible
from tests.explorer.toy import toy_pipeline

TABLES = {"dmgan-table1": "dmgan_table1", "dmgan-table2": "dmgan_table2", "dmgan-table3": "dmgan_table3", "dmmgan-2x2": "dmmgan_2x2"}


def bounded(value: float, name: str = "mean") -> dict:
    """A figure with an interval of a tenth to each side, and its ceiling and floor."""
    held = {name: value, "interval_95": [0.9 * value, 1.1 * value]}
    return {"generated": held, "ceiling_rendered": held, "floor_shuffled": None, "protocol": "p"}


def memory(share: float, lift: float = 3.0) -> dict:
    """What a memory did, in the form of `dmm evaluate --metrics memory`."""
    maps = {
        side: {
            "by_kind": {"colour": {"lift": lift, "lift_interval_95": [lift - 1, lift + 1]}},
            "lift_in_named_part": {"other_word": 0.9, "other_caption": 1.5},
        }
        for side in ("64", "128")
    }
    success = {"none": 0.02, "total": 0.8, "memory": share, "initial": 0.1}
    shares = {side: {"share": share, "interval_95": [share - 0.05, share + 0.05]} for side in ("128", "256")}
    controls = {"second_noise": {"memory_share": {"256": {"share": share + 0.01}}}}
    return {"captions": 200, "memory_share": shares, "success": {size: success for size in ("64", "128", "256")}, "maps": maps,
            "controls": controls, "protocol": "p"}  # fmt: skip


def write(folder, recipe: str, number: int = 1, **only) -> None:
    """A record of every metric, whose figures tell the recipes apart."""
    metrics = only or {
        "attributes": bounded(0.01 * number) | {"by_size": {}},
        "fid": bounded(100.0 + number, "distance"),
        "kid": bounded(700.0 + number, "distance"),
        "inception_score": bounded(5 + 0.1 * number),
        "r_precision": bounded(0.02 * number),
        "r_precision_independent": bounded(0.03 * number),
        "caption_f1": {"by_size": {side: {"generated": {"f1": 0.04 * number}} for side in ("128", "256")}, "protocol": "p"},
        "memory": memory(0.3 + 0.02 * number),
    }
    (folder / f"{recipe}.json").write_text(json.dumps({"checkpoint": recipe, "n": 200, "split": "birds", "metrics": metrics}))


def said(result) -> str:
    """All lines of a figure as one text."""
    return " ".join(text for text, _ in boxes(result.figure))


@pytest.fixture
def eight(tmp_path):
    """Records of all systems, of DM-GAN's ablation and of the 2x2."""
    folder = tmp_path / "results"
    folder.mkdir()
    for number, recipe in enumerate(dict.fromkeys([*systems().values(), *ABLATION.values(), *TWO_BY_TWO.values()])):
        write(folder, recipe, number)
    return folder


@pytest.fixture
def one(tmp_path):
    """A record of DMM-GAN alone, and one of the corner of the 2x2 that has both."""
    write(tmp_path, "dmmgan-aviary", 7)
    write(tmp_path, "dmmgan-aviary-gldm-stream", 8)
    return tmp_path


@pytest.mark.parametrize("name", TABLES)
def test_a_table_shows_the_figures_of_the_report(name, eight, tmp_path):
    results = read_results(eight)
    table = next(table for table in document(results, "").tables if table.key == TABLES[name])
    result = figures.draw(name, results)
    apart(result.figure)
    legible(name, result.figure)
    assert result.figure.get_size_inches()[0] == pytest.approx(8.4 / 2.54)
    of_report = {(row, c.header): (c.kind, c.cells[i].text) for i, row in enumerate(table.rows) for c in table.columns}
    drawn = {(row["row"], row["column"]): (row["kind"], row["text"]) for row in result.rows}
    assert drawn.items() <= of_report.items() and {text for key, (_, text) in of_report.items() if key not in drawn} <= {NONE, MISSING}
    written = [text for text, _ in boxes(result.figure)]
    for row in result.rows:
        assert row["text"].partition(" [")[0] in written
    assert all(f"{row['row']} {row['text']}" in result.alt for row in result.rows)
    first = export(result, tmp_path / "a", name, FORMATS)
    again = export(figures.draw(name, results), tmp_path / "b", name, FORMATS)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_published_and_measured_figures_stand_apart(eight):
    found = dict(boxes(figures.draw("dmgan-table1", read_results(eight)).figure))
    published, measured = found["Published: CUB, COCO"], found["Measured here: Aviary"]
    assert published.y0 > found["25.89±0.47"].y0 > measured.y1 and found["5.300"].y1 < measured.y0  # AttnGAN on COCO, and here


def test_what_has_no_record_is_a_line_with_its_command(one):
    for name in TABLES:
        result = figures.draw(name, read_results(one))
        apart(result.figure)
        notes = said(result)
        assert "To measure: dmm evaluate MODEL --metrics" in notes, name
    assert "Not measured: neither; GLDM; STREAM." in notes
    assert not any("Measured here" in text for text, _ in boxes(figures.draw("dmgan-table3", read_results(one)).figure))


def test_the_2x2_puts_each_model_into_its_corner(eight):
    found = dict(boxes(figures.draw("dmmgan-2x2", read_results(eight)).figure))
    value = {name: found[f"{row['value']:.1f}"] for row in figures.draw("dmmgan-2x2", read_results(eight)).rows
             if "Fréchet" in row["column"] for name in [row["row"]]}  # fmt: skip
    neither, gldm, stream, both = (value[name] for name in TWO_BY_TWO)
    told = document(read_results(eight), "").summary
    assert any(line.startswith("What GLDM and STREAM add, at 128 px under a smaller budget of their own: neither 0.1") for line in told)
    assert neither.x1 < stream.x0 and gldm.x1 < both.x0 and neither.y0 > gldm.y1 and stream.y0 > both.y1


def test_memories_of_eight_systems_stand_side_by_side(eight, tmp_path):
    results = read_results(eight)
    result = figures.draw("memory-systems", results)
    apart(result.figure)
    legible("memory-systems", result.figure)
    export(result, tmp_path, "eight", ["png"])
    own = {name: number for number, name in enumerate(systems())}
    shares = {row["system"]: row for row in result.rows if row["quantity"] == "share" and not row["control"]}
    assert set(shares) == {"AttnGAN", "MirrorGAN", "DM-GAN", "DMM-GAN"}
    assert list(shares)[:2] == ["AttnGAN", "MirrorGAN"] and {shares[name]["words_read_by"] for name in list(shares)[2:]} == {"memory"}
    assert all(shares[name]["value"] == pytest.approx(0.3 + 0.02 * own[name]) for name in shares)
    through = next(row for row in result.rows if (row["system"], row["of"], row["control"]) == ("DM-GAN", "in these words", ""))
    assert (through["low"], through["high"]) == exact_interval(round(through["value"] * 200), 200)
    df_gan = [row for row in result.rows if row["system"] == "DF-GAN" and not row["control"]]
    assert [row["of"] for row in df_gan] == ["everywhere"] and 0 < df_gan[0]["low"] < 0.8 < df_gan[0]["high"]
    (lift,) = (row for row in result.rows if (row["system"], row["of"], row["control"]) == ("DM-GAN", "64 × 64", ""))
    assert (lift["value"], lift["low"], lift["high"]) == (3, 2, 4)
    controls = {row["control"]: row["value"] for row in result.rows if row["system"] == "DM-GAN" and row["control"]}
    assert controls == {"other noise": pytest.approx(shares["DM-GAN"]["value"] + 0.01), "nothing exchanged": 0.02, "other word": 0.9,
                        "other caption": 1.5}  # fmt: skip
    assert f"DM-GAN share .{round(100 * shares['DM-GAN']['value'])}; DM-GAN share other noise" in result.alt
    assert "Share, DM-GAN against AttnGAN: +0.04; the intervals overlap: no difference could be shown." in said(result)
    assert "Not measured" not in said(result)


def test_one_memory_is_shown_and_the_others_named(one):
    result = figures.draw("memory-systems", read_results(one))
    apart(result.figure)
    assert {row["system"] for row in result.rows} == {"DMM-GAN"} and "against" not in said(result)
    lacking = "Not measured: GAN-INT-CLS; StackGAN; StackGAN++; AttnGAN; MirrorGAN; DM-GAN; DF-GAN. To measure: dmm evaluate"
    assert lacking in said(result)


def test_without_a_record_the_command_says_how_to_make_one(tmp_path):
    write(tmp_path, "dmgan-aviary", fid=bounded(300.0, "distance"))
    answer = explorer("figures", "memory-systems", "--results", tmp_path, "--out", tmp_path / "out")
    assert answer.exit_code == 2 and len(answer.output.splitlines()) == 1
    assert "dmm evaluate MODEL --metrics memory --out" in answer.output and not (tmp_path / "out").exists()
    answer = explorer("figures", "dmgan-table1", "--results", tmp_path / "none", "--out", tmp_path / "out")
    assert answer.exit_code == 2 and "expected a folder" in answer.output


def test_the_manifest_names_the_records(one, tmp_path):
    answer = explorer("figures", "memory-systems", "dmgan-table1", "--results", one, "--out", tmp_path / "out", "--format", "csv")
    assert answer.exit_code == 0, answer.output
    noted = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {tuple(entry["read"]) for entry in noted.values()} == {(f"{one}/dmmgan-aviary.json",)}
    assert noted["dmgan-table1"]["models"] == {} and f"--results {one}" in noted["dmgan-table1"]["command"]


# --- votes -----------------------------------------------------------------------------------------------------------------------


def votes(chosen: list[list[int]]) -> list[Vote]:
    """A list for each voter: the contender chosen of each pair; the first stands left in even pairs."""
    return [Vote("s", f"v{k}", pair, one, pair % 2) for k, row in enumerate(chosen) for pair, one in enumerate(row)]


def test_a_vote_is_drawn_with_its_exact_interval():
    found = outcome(("full", "without memory"), votes([[0] * 9 + [1]]))
    result = figures.draw("dmmgan-vote", found)
    apart(result.figure)
    legible("dmmgan-vote", result.figure)
    rows = {row["counted"]: row for row in result.rows}
    assert rows["votes"]["share"] == 0.9 and rows["votes"]["p"] == pytest.approx(22 / 1024)
    assert rows["votes"]["low"] == pytest.approx(0.55498, abs=1e-5) and rows["votes"]["high"] == pytest.approx(0.99747, abs=1e-5)
    assert rows["left"]["for_first"] == 6 and rows["pairs"]["voters"] == 1 and rows["pairs"]["kappa"] == ""
    assert "9 of 10: .90, p .021" in said(result) and "1 voter, Fleiss' kappa undefined" in said(result)
    result = figures.draw("dmmgan-vote", outcome(("a", "b"), votes([[0, 1], [1, 0]])))
    apart(result.figure)
    assert "2 pairs tied" in said(result) and math.isclose(result.rows[0]["kappa"], -1)
    with pytest.raises(FigureError, match="nobody has voted"):
        figures.draw("dmmgan-vote", outcome(("a", "b"), []))


def test_the_table_of_the_page_and_its_file_give_the_same_outcome(tmp_path):
    session = Session(["toy", "dm"], load=lambda name: toy_pipeline(global_memory=name == "toy"))
    vote = BlindVote(session, VoteStore(tmp_path / "votes.db"), two_of(session))
    for voter, sides in (("ann", "lllr"), ("ben", "llrr")):
        for pair, side in enumerate(sides):
            vote.vote(voter, pair, {"l": "left", "r": "right"}[side])
    (tmp_path / "votes.csv").write_text(vote.table())
    vote.store.close()
    figure, expected = figures.get_figure("dmmgan-vote"), vote.study.contenders[0].name
    by_table = gather.gather(figure, {"votes": str(tmp_path / "votes.csv"), "first": expected})
    by_file = gather.gather(figure, {"votes": str(tmp_path / "votes.db")}, session)
    assert by_table == by_file and by_file["votes"]["of"] == 8
    answer = explorer("figures", "dmmgan-vote", "--votes", tmp_path / "votes.csv", "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["dmmgan-vote"]
    assert list(entry["read"]) == [str(tmp_path / "votes.csv")] and entry["models"] == {}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file"),
        ("a,b\n", "expected a table of votes with the columns pair"),
        ("pair,caption,seed,voter,left,right,chosen\nx,c,1,ann,a,b,a\n", "expected a table of votes"),
        ("pair,caption,seed,voter,left,right,chosen\n0,c,1,ann,a,b,c\n", "pair 0: expected two contenders and one of them chosen"),
        ("pair,caption,seed,voter,left,right,chosen\n0,c,1,ann,a,b,a\n1,c,1,ann,a,a,a\n", "pair 1: expected two contenders"),
        ("pair,caption,seed,voter,left,right,chosen\n0,c,1,ann,a,b,a\n1,c,1,ann,a,c,a\n", "two contenders; found a; b; c"),
        ("pair,caption,seed,voter,left,right,chosen\n0,c,1,ann,a,b,a\n0,c,1,ann,b,a,b\n", "'ann' voted twice on pair 0"),
        (f"pair,caption,seed,voter,left,right,chosen\n{'9' * 5000},c,1,ann,a,b,a\n", "expected a table of votes"),
        ('pair,caption,seed,voter,left,right,chosen\n0,"c,1,ann,a,b,a\n1,c,1,ann,a,b,a\n', "expected a table of votes"),
    ],
)
def test_votes_that_cannot_be_read_are_refused(content, expected, tmp_path):
    path = tmp_path / "votes.csv"
    if content is not None:
        path.write_text(content)
    answer = explorer("figures", "dmmgan-vote", "--votes", path, "--out", tmp_path / "out")
    assert answer.exit_code == 2 and expected in answer.output and len(answer.output.splitlines()) == 1


def test_votes_need_a_file_and_a_contender_of_it(tmp_path):
    answer = explorer("figures", "dmmgan-vote", "--out", tmp_path)
    assert answer.exit_code == 2 and "name their file with --votes" in answer.output
    path = tmp_path / "votes.csv"
    path.write_text("pair,caption,seed,voter,left,right,chosen\n0,c,1,ann,'=a,b,b\n")
    assert read_table(path) == (("=a", "b"), [Vote("table", "ann", 0, 1, 0)])
    with pytest.raises(VoteError, match="nobody one of them; found"):
        read_table(path, "nobody")
