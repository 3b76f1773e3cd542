"""The page under load, by three people for two seconds: what is recorded, and that errors are counted."""

from __future__ import annotations

import json
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from dmm.bench import app as bench
from dmm.checkpoint import save
from dmm.cli import app
from dmm.errors import InputError
from tests import chromium
from tests.explorer.toy import toy_pipeline

NEVER = {"count": 0, "p50": None, "p95": None}
CONFIG = {
    "components": [{"id": 4, "props": {"elem_id": "generate"}}, {"id": 7, "props": {"elem_id": "waiting"}}, {"id": 8, "props": {}}],
    "dependencies": [
        {"id": 1, "targets": [[4, "click"]], "backend_fn": False},
        {"id": 2, "targets": [[4, "click"]], "backend_fn": True},
        {"id": 3, "targets": [[7, "change"]], "backend_fn": True},
        {"id": 5, "targets": [[9, "load"]], "backend_fn": True},
    ],
}


@pytest.mark.slow
def test_a_real_page_is_driven_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "COLOURS", ("red", "blue"))
    monkeypatch.setattr(bench, "REPEATS", 2)
    monkeypatch.setenv("CHROMIUM", chromium.find() or "")
    save(toy_pipeline(), tmp_path / "toy")
    save(toy_pipeline(global_memory=False), tmp_path / "other")
    arguments = ["bench", "--only", "app", "--people", "3", "--seconds", "2", "--visits", "3", "--model", str(tmp_path / "toy")]
    arguments += ["--model", str(tmp_path / "other")]
    done = CliRunner().invoke(app, [*arguments, "--thinking", "0.2", "--out", str(tmp_path / "b.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["model"] == "toy" and found["people"] == 3 and found["command"].startswith("dmm")
    assert found["errors"] == found["visits"]["errors"] == {} and found["visits"]["count"] == 3
    assert set(found["visits"]["rss_mib"]) == {"before", "half_way", "after"} and set(found["rss_mib"]) == {"before", "most", "after"}
    answers, queue = found["answers"], found["queue"]
    assert answers["count"] > 0 and 0 < answers["p50"] <= answers["p95"] <= answers["largest"]
    assert answers["fewest_of_one"] <= answers["count"] / 3 <= answers["most_of_one"]
    assert answers["cpu_seconds_each"] >= 0
    assert 0 < queue["count"] <= answers["count"] and 0 <= queue["median_place"] <= queue["largest_place"]
    assert found["systems"] == ["toy", "other"]
    for name, said in (("edit", "an edit"), ("click", "a click on a word"), ("side_by_side", "2 systems side by side")):
        one = found["alone"][name]
        assert one["count"] == 2 and 0 < one["p50"] <= one["p95"] and not one.get("errors"), found["alone"]
        assert f"{said}: half below {one['p50']} s, 95 % below {one['p95']} s, of 2 (aim {bench.AIMS[name]:g} s" in done.output
    assert f"3 people, 2 s, 0.2 s of thought between captions: {answers['count']} pages" in done.output


@pytest.fixture
def broken():
    """A server whose page is there and whose answers are not; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"gradio" if self.path == "/" else json.dumps(CONFIG).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"data": []}).encode()
            self.send_response(200 if asked["fn_index"] == 5 else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_errors_are_counted_by_kind(broken, monkeypatch):
    monkeypatch.setattr(bench, "resident", lambda pid: 1.0)
    seen, memory = bench._crowd(broken, 0, people=3, seconds=0.5, thinking=0.01)
    assert not seen.seconds and sum(seen.errors.values()) >= 3
    assert set(seen.errors) == {"BadAnswer: status 503 of /gradio_api/run/predict"}
    assert memory == {"before": 1.0, "most": 1.0, "after": 1.0}
    assert bench._visits(broken, 0, 2) == {"count": 2, "errors": {}, "rss_mib": {"before": 1.0, "half_way": 1.0, "after": 1.0}}


def test_errors_make_the_command_fail_and_are_printed(monkeypatch):
    visits = {"count": 0, "errors": {}, "rss_mib": {"before": 1.0, "after": 1.0}}
    found = {
        "alone": {"edit": NEVER | {"errors": {"BadAnswer: no": 1}}, "click": NEVER | {"missing": "no browser"}, "side_by_side": NEVER},
        "systems": ["one"], "machine": "a machine", "people": 1, "seconds": 1.0, "thinking": 1.0, "visits": visits,
        "errors": {"OSError: no": 2},
        "rss_mib": {"before": 1.0, "most": 2.0, "after": 1.0},
        "answers": dict.fromkeys(("p50", "p95", "largest", "cpu_seconds_each")) | {"count": 0, "fewest_of_one": 0, "most_of_one": 0},
        "queue": {"count": 0, "median_place": None, "largest_place": None},
    }  # fmt: skip
    monkeypatch.setattr(bench, "bench_app", lambda *settings, **more: found)
    done = CliRunner().invoke(app, ["bench", "--only", "app"])
    assert done.exit_code == 1 and "error, 2 times: OSError: no" in done.output and "error, 1 times: BadAnswer: no" in done.output
    assert "an edit: never answered" in done.output and "a click on a word: no browser" in done.output and "3 errors" in done.output


def test_events_are_found_by_what_causes_them():
    assert bench.wiring(CONFIG) == {"model": None, "generate": 2, "waiting": 3, "load": 5}
    with pytest.raises(bench.BadAnswer, match="no event for waiting"):
        bench.wiring({**CONFIG, "dependencies": [event for event in CONFIG["dependencies"] if event["id"] != 3]})


def test_shares_of_times_are_nearest_ranks():
    ordered = [float(number) for number in range(1, 101)]
    assert [bench._at(ordered, share) for share in (0.5, 0.95, 1.0)] == [50.0, 95.0, 100.0]
    assert bench._at([3.0], 0.5) == 3.0 and bench._at([], 0.5) is None


@pytest.mark.parametrize(("said", "seconds"), [("00:01:05", 65), ("1-02:00:01", 93601), ("3:04.50", 184.5)])
def test_processor_time_is_read_as_systems_print_it(said, seconds, monkeypatch):
    printed = types.SimpleNamespace(stdout=f"  {said}\n")
    monkeypatch.setattr(bench.subprocess, "run", lambda *arguments, **more: printed)
    assert bench.computed(1) == seconds


def test_a_page_that_does_not_come_up_is_said(tmp_path):
    with pytest.raises(InputError, match="the page did not come up; it printed: .*no checkpoint there"):
        bench.bench_app(1, 0.1, 0, [str(tmp_path / "nothing")])
