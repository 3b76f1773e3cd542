"""The explorer's page under load: a real server in a process of its own, and people who visit it, generate captions and think between them.

A person speaks to the server as a browser does: the page and its settings, then for each caption the answer at once, or a place in the
queue and its messages until the picture is there. First come visits of the page alone, each by somebody new; then one person on the idle
page, who edits pictures, clicks words and compares systems; then the people all at once. What is recorded: seconds of each, errors, places
in the queue, and the memory of the server.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from dmm.errors import InputError
from dmm.training.logs import machine

PATIENCE = 300.0  # seconds in which a server must come up, and an answer come
THINKING = 20.0  # seconds between an answer and the next caption, mean of an exponential distribution
COLOURS = ("red", "blue", "yellow", "black", "white", "brown", "grey", "green", "orange")
PARTS = ("wings", "crown", "belly", "breast", "throat", "tail", "back")
REPEATS = 20  # edits, clicks and comparisons of the one person on the idle page
MUTE = json.dumps([{"edit": "mute", "word": "bird"}])
AIMS = {"edit": 0.7, "click": 0.15, "side_by_side": 4.0}  # seconds; side by side of six systems, on 2 cores
CLICKS = """async (count) => {
  const times = [], words = [...document.querySelectorAll(".ex-caption .ex-word")];
  for (let k = 0; words.length && k < count; k += 1) {
    const began = performance.now();
    words[(k + 1) % words.length].click();
    await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
    times.push((performance.now() - began) / 1000);
  }
  return times;
}"""
SESSION = "bench"  # what the names of the people's sessions begin with


class BadAnswer(Exception):
    """An answer that a browser could not show."""


@dataclass
class Seen:
    """What the people met, added up over their threads."""

    seconds: list[float] = field(default_factory=list)  # from a caption to its page, those that waited in the queue and those at once
    places: list[int] = field(default_factory=list)  # in the queue, when a caption came into it; 0 = the next
    errors: dict[str, int] = field(default_factory=dict)  # what went wrong -> how often
    answers: dict[int, int] = field(default_factory=dict)  # person -> captions that were generated
    guard: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, person: int, seconds: float, place: int | None) -> None:
        """A caption's page has come; ``place`` in the queue, None for one that was answered at once."""
        with self.guard:
            self.seconds.append(seconds)
            self.answers[person] = self.answers.get(person, 0) + 1
            self.places += [] if place is None else [place]

    def failed(self, error: Exception) -> None:
        """Something went wrong; numbers in its text are not told apart."""
        said = re.sub(r"\d{4,}", "N", f"{type(error).__name__}: {error}")[:120]
        with self.guard:
            self.errors[said] = self.errors.get(said, 0) + 1


class Person:
    """Somebody with a browser.

    Args:
        port: of the server on this machine.
        session: a name that nobody else has.
    """

    def __init__(self, port: int, session: str):
        self.port, self.session = port, session
        self.wiring: dict = {}

    def visit(self) -> None:
        """Open the page: its HTML, its settings, and the event that a page sends when it has loaded.

        Raises:
            BadAnswer, OSError, http.client.HTTPException: it did not come.
        """
        page = self._get("/")
        if "gradio" not in page:
            raise BadAnswer("the page is not the explorer's")
        self.wiring = wiring(json.loads(self._get("/config")))
        self._run("load", [])

    def generate(self, caption: str, seed: int, edits: str = "") -> int | None:
        """Ask for a caption and wait for its page; the place in the queue, None if it was answered at once.

        Args:
            edits: JSON of :mod:`explorer.interventions`; empty for none.

        Raises:
            BadAnswer, OSError, http.client.HTTPException: it did not come.
        """
        answer = self._run("generate", [caption, seed, self.wiring["model"], edits])
        place: int | None = None
        if isinstance(answer[-1], str):
            place, answer = self._queued("waiting", [answer[-1]])
        page = answer[1]
        if not isinstance(page, str) or f'data-caption="{caption}"' not in page or bool(edits) != (" data-edits=" in page):
            raise BadAnswer(f"expected the page of the caption, found {str(answer[0])[:80]}")
        return place

    def compare(self, caption: str, seed: int, systems: int) -> None:
        """Ask for a caption through all models, so many, and wait for their pictures. Raises as :meth:`generate`."""
        _, (rows,) = self._queued("compare", [caption, "", None, [seed]])
        if len(rows) != systems:
            raise BadAnswer(f"expected {systems} pictures side by side, found {len(rows)}")

    def _queued(self, name: str, data: list) -> tuple[int, list]:
        """Ask a function that takes turns with others: the place in the queue, and the answer."""
        event = json.loads(self._post("/gradio_api/queue/join", self._asked(name, data)))["event_id"]
        place, output = None, None
        for message in self._messages():
            if message.get("event_id") == event and message["msg"] == "estimation" and place is None:
                place = int(message["rank"])
            if message.get("event_id") == event and message["msg"] == "process_completed":
                if not message["success"]:
                    raise BadAnswer(f"the queue says {message['output']}")
                output = message["output"]["data"]
            if message["msg"] == "unexpected_error":
                raise BadAnswer(f"the queue says {message.get('message')}")
        if output is None:
            raise BadAnswer("the queue ended without an answer")
        return place or 0, output

    def _asked(self, name: str, data: list) -> dict:
        trigger = {"trigger_id": None, "event_data": None}
        return {"data": data, "fn_index": self.wiring[name], "session_hash": self.session} | trigger

    def _run(self, name: str, data: list) -> list:
        return json.loads(self._post("/gradio_api/run/predict", self._asked(name, data)))["data"]

    def _messages(self) -> Iterator[dict]:
        """The messages of the queue to this session, until it closes."""
        with self._answer("GET", f"/gradio_api/queue/data?session_hash={quote(self.session)}") as response:
            while line := response.readline():
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def _get(self, path: str) -> str:
        with self._answer("GET", path) as response:
            return response.read().decode()

    def _post(self, path: str, body: dict) -> str:
        with self._answer("POST", path, json.dumps(body).encode()) as response:
            return response.read().decode()

    @contextmanager
    def _answer(self, method: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            if response.status != 200:
                raise BadAnswer(f"status {response.status} of {path.partition('?')[0]}")
            yield response
        finally:
            connection.close()


def wiring(config: dict) -> dict:
    """From the page's settings: the number of each event that a person causes, and of `/compare`; the model that is chosen at first.

    Raises:
        BadAnswer: a page without one of them.
    """
    parts = {part["props"].get("elem_id"): part for part in config["components"]}
    found: dict = {"model": parts["model"]["props"].get("value") if "model" in parts else None}
    for name, elem_id, happening in (("generate", "generate", "click"), ("waiting", "waiting", "change"), ("load", None, "load")):
        of = elem_id and parts.get(elem_id, {}).get("id")  # the page's own events are of no part
        for event in config["dependencies"]:
            if event["backend_fn"] and any(to[1] == happening and (elem_id is None or to[0] == of) for to in event["targets"]):
                found.setdefault(name, event["id"])
        if name not in found:
            raise BadAnswer(f"the page has no event for {name}")
    named = {event.get("api_name"): event["id"] for event in config["dependencies"]}
    return found | ({"compare": named["compare"]} if "compare" in named else {})


def caption_of(rng: random.Random) -> str:
    """One of some thousands of sentences."""
    first, second = rng.sample(PARTS, 2)
    return f"a {rng.choice(('small', 'large'))} bird with {rng.choice(COLOURS)} {first} and {rng.choice(COLOURS)} {second}"


def resident(pid: int) -> float:
    """Memory of a process that is in RAM, MiB."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return round(int(said) / 1024, 1)


def computed(pid: int) -> float:
    """Seconds of CPU time that a process has used, of all its threads."""
    said = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()
    days, _, clock = said.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):  # hours, minutes, seconds; systems differ in how many they print
        seconds = 60 * seconds + float(part)
    return 86400 * int(days or 0) + seconds


@contextmanager
def server(models: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The page of some models, served by a process of its own; (port, process id).

    Raises:
        InputError: it did not come up; with what it printed last.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with log.open("w", encoding="utf-8") as out:
            command = [sys.executable, "-m", "explorer.cli", "app", *models, "--port", str(port)]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + PATIENCE
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > end:
                    said = log.read_text(encoding="utf-8").strip().splitlines() or ["nothing"]
                    raise InputError(f"--model {' '.join(models)}: the page did not come up; it printed: {said[-1][:300]}")
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(timeout=60)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def bench_app(
    people: int = 60,
    seconds: float = 60.0,
    visits: int = 500,
    models: Sequence[str] = ("dmmgan-aviary",),
    thinking: float = THINKING,
    told: Callable[[str], None] = lambda line: None,
) -> dict:
    """The page of some models under load.

    Args:
        people: who use it at once.
        seconds: in which they begin captions; those begun are waited for.
        visits: of the page alone, before.
        models: names or folders of checkpoints; the first is used, all are set side by side.
        thinking: mean seconds between an answer and the next caption.
        told: called with a line before each part.

    Returns:
        ``machine``, ``model``, ``people``, ``seconds``, ``thinking``; ``visits``: count, errors, rss_mib before, half way and after;
        ``alone``: seconds of an ``edit``, a ``click`` on a word and of all ``systems`` ``side_by_side``, as :func:`_alone` gives them;
        ``answers``: count, p50, p95 and largest seconds, fewest and most of one person, the server's CPU time for each;
        ``queue``: of the captions that waited, count, median and largest place; ``errors``: what -> count; ``rss_mib``: before, the
        most during, after.

    Raises:
        InputError: the page did not come up.
    """
    told("starting the page")
    with server(models) as (port, pid):
        told(f"{visits} visits")
        visited = _visits(port, pid, visits)
        told("one person on the idle page")
        alone = _alone(port, len(models))
        told(f"{people} people for {seconds:g} s")
        before = computed(pid)
        seen, memory = _crowd(port, pid, people, seconds, thinking)
        used = computed(pid) - before
    ordered = sorted(seen.seconds)
    counts = [seen.answers.get(person, 0) for person in range(people)]
    return {
        "machine": machine(),
        "model": Path(models[0]).name,
        "systems": [Path(model).name for model in models],
        "people": people,
        "seconds": seconds,
        "thinking": thinking,
        "visits": visited,
        "alone": alone,
        "answers": {
            "count": len(ordered),
            "p50": _at(ordered, 0.5),
            "p95": _at(ordered, 0.95),
            "largest": _at(ordered, 1.0),
            "fewest_of_one": min(counts),
            "most_of_one": max(counts),
            "cpu_seconds_each": round(used / len(ordered), 2) if ordered else None,
        },
        "queue": {
            "count": len(seen.places),
            "median_place": statistics.median(seen.places) if seen.places else None,
            "largest_place": max(seen.places, default=None),
        },
        "errors": seen.errors,
        "rss_mib": memory,
    }


def _at(ordered: list[float], share: float, digits: int = 2) -> float | None:
    """The value below which a share of ordered seconds lie (nearest rank); None of nothing."""
    return round(ordered[math.ceil(share * len(ordered)) - 1], digits) if ordered else None


def _alone(port: int, systems: int) -> dict[str, dict]:
    """One person on the idle page: what is done -> count, p50 and p95 of the seconds, and errors or why it was not measured.

    Captions are new each time, so that nothing comes from the store; an edit mutes a word of a picture that is shown.
    """
    rng, seen = random.Random(0), {name: Seen() for name in ("edit", "side_by_side")}
    person = Person(port, f"{SESSION}-alone")
    try:
        person.visit()
        for _ in range(REPEATS):
            caption, seed = caption_of(rng), rng.randrange(1000)
            person.generate(caption, seed)
            _timed(seen["edit"], partial(person.generate, caption, seed, MUTE))
            _timed(seen["side_by_side"], partial(person.compare, caption_of(rng), seed, systems))
    except (BadAnswer, OSError, http.client.HTTPException, ValueError, KeyError) as error:
        seen["edit"].failed(error)
    found = {name: _spread(one.seconds) | {"errors": one.errors} for name, one in seen.items()}
    return found | {"click": _clicks(port)}


def _timed(seen: Seen, ask: Callable[[], object]) -> None:
    began = time.monotonic()
    try:
        ask()
    except (BadAnswer, OSError, http.client.HTTPException, ValueError, KeyError) as error:
        seen.failed(error)
    else:
        seen.answered(0, time.monotonic() - began, None)


def _spread(seconds: Sequence[float]) -> dict:
    ordered = sorted(seconds)
    return {"count": len(ordered), "p50": _at(ordered, 0.5, 3), "p95": _at(ordered, 0.95, 3)}


def _clicks(port: int) -> dict:
    """From a click on a word of the caption to its maps, painted by a real browser; the server is not asked."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return _spread([]) | {"missing": "Playwright is not installed: pip install playwright"}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"))
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector(".ex-caption")
            return _spread(page.evaluate(CLICKS, REPEATS))
    except Error as error:
        return _spread([]) | {"missing": str(error).strip().splitlines()[0][:200]}


def _visits(port: int, pid: int, count: int) -> dict:
    """Visits of the page, one after another, each in a session of its own."""
    seen, memory = Seen(), [resident(pid)]
    for number in range(count):
        try:
            Person(port, f"{SESSION}-visit-{number}").visit()
        except (BadAnswer, OSError, http.client.HTTPException, ValueError) as error:
            seen.failed(error)
        if number + 1 == count // 2:
            memory.append(resident(pid))
    memory.append(resident(pid))
    names = ("before", "half_way", "after") if len(memory) == 3 else ("before", "after")
    return {"count": count, "errors": seen.errors, "rss_mib": dict(zip(names, memory, strict=True))}


def _crowd(port: int, pid: int, people: int, seconds: float, thinking: float) -> tuple[Seen, dict[str, float]]:
    """Everybody at once: what they met, and the server's memory before, at most, and after."""
    seen, end = Seen(), time.monotonic() + seconds
    before = most = resident(pid)
    threads = [threading.Thread(target=_use, args=(port, number, end, thinking, seen), daemon=True) for number in range(people)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(0.5, seconds / 4))
        most = max(most, resident(pid))
    return seen, {"before": before, "most": most, "after": resident(pid)}


def _use(port: int, number: int, end: float, thinking: float, seen: Seen) -> None:
    """One person, until ``end``: visits the page, then thinks and generates in turn."""
    rng = random.Random(number)
    person = Person(port, f"{SESSION}-{number}")
    try:
        person.visit()
    except (BadAnswer, OSError, http.client.HTTPException, ValueError) as error:
        seen.failed(error)
        return
    while True:
        time.sleep(max(0.0, min(rng.expovariate(1 / thinking), end - time.monotonic())))
        if time.monotonic() >= end:
            return
        began = time.monotonic()
        try:
            place = person.generate(caption_of(rng), rng.randrange(1000))
        except (BadAnswer, OSError, http.client.HTTPException, ValueError, KeyError) as error:
            seen.failed(error)
        else:
            seen.answered(number, time.monotonic() - began, place)


def app_table(result: dict) -> str:
    """The figures of :func:`bench_app` in words."""
    visits, answers, queue, memory = (result[name] for name in ("visits", "answers", "queue", "rss_mib"))
    errors = all_errors(result)
    held = " to ".join(f"{value:g}" for value in visits["rss_mib"].values())
    lines = [
        result["machine"],
        f"{visits['count']} visits: the server's memory went from {held} MiB",
        *_alone_lines(result["alone"], len(result["systems"])),
        f"{result['people']} people, {result['seconds']:g} s, {result['thinking']:g} s of thought between captions: "
        f"{answers['count']} pages, {answers['fewest_of_one']} to {answers['most_of_one']} of one person, {sum(errors.values())} errors",
        f"seconds from a caption to its page: half below {answers['p50']}, 95 % below {answers['p95']}, at most {answers['largest']}; "
        f"{answers['cpu_seconds_each']} s of the server's CPU time for each",
        f"{queue['count']} waited in the queue, at place {queue['median_place']} (median), at most {queue['largest_place']}",
        f"the server's memory: {memory['before']:g} MiB before, {memory['most']:g} at most, {memory['after']:g} after",
    ]
    return "\n".join(lines + [f"error, {count} times: {what}" for what, count in errors.items()])


def _alone_lines(alone: dict[str, dict], systems: int) -> list[str]:
    titles = {"edit": "an edit", "click": "a click on a word", "side_by_side": f"{systems} system{'s' * (systems != 1)} side by side"}
    lines = []
    for name, title in titles.items():
        found = alone[name]
        aim = f"aim {AIMS[name]:g} s" + (" for six" if name == "side_by_side" else "")
        said = f"half below {found['p50']} s, 95 % below {found['p95']} s, of {found['count']} ({aim})"
        lines.append(f"{title}: {said if found['count'] else found.get('missing', 'never answered')}")
    return lines


def all_errors(result: dict) -> dict[str, int]:
    """What went wrong in all parts of :func:`bench_app` -> how often."""
    found: dict[str, int] = {}
    for part in (result["visits"], *result["alone"].values(), result):
        for what, count in part.get("errors", {}).items():
            found[what] = found.get(what, 0) + count
    return found
