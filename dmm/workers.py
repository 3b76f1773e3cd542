"""A pool of processes that render or decode pictures: the interpreter's lock holds threads back, processes it does not.

Each worker is a fresh Python that computes with one thread and answers one job after another over its pipes. It never runs the caller's
main module, so a script without a main guard, standard input and a notebook can use a pool too. Jobs write their pictures to disk
themselves; what travels is which pictures, and where to. A picture is the same to the last bit whoever makes it.

A worker leaves Ctrl-C to its parent and ends when its pipe does, after its present job: whatever ends the parent ends the pool.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import IO, Any

from tqdm import tqdm

from dmm.errors import InputError

SHARE = 200  # pictures that are worth a worker of their own: starting it takes as long as making about as many
_START = "import sys; sys.path[:] = sys.argv[2:]; from dmm.workers import serve; serve(sys.argv[1])"
_READY = "ready"


class WorkerError(OSError):
    """A worker process that could not start, or that died: what to do."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def useful_workers(pictures: int, workers: int | None = None) -> int:
    """How many processes should make pictures; 1 is this one alone.

    Args:
        pictures: how many there are to make.
        workers: this number, however few the pictures. By default that of the environment variable ``DMM_WORKERS``, else one for each
            usable core, as far as each gets :data:`SHARE` pictures.

    Raises:
        ValueError: no worker, or a variable that is no number.
    """
    if workers is None:
        text = os.environ.get("DMM_WORKERS") or str(cores())
        most = int(text) if text.isdecimal() else 0
        if most < 1:
            raise InputError(f"DMM_WORKERS: expected a whole number of at least 1, found {text!r}")
        return max(1, min(most, pictures // SHARE))
    if workers < 1:
        raise InputError(f"expected at least one worker, found {workers}")
    return max(1, min(workers, pictures))


class WorkerPool:
    """Worker processes; use them in a ``with``, at whose end they are gone.

    Args:
        workers: how many, 1 or more.
        imports: a module that each imports at its start, so that its first job does not wait for it.
    """

    def __init__(self, workers: int, imports: str = ""):
        self._workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pool")  # each waits for one worker
        try:
            for _ in range(workers):
                self._workers.append(_Worker(imports))
                self._idle.put(self._workers[-1])
        except OSError as error:
            self.close()
            raise WorkerError(f"a worker process could not start ({error}); DMM_WORKERS=1 works without") from error

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *failure) -> None:
        self.close()

    def ready(self) -> None:
        """Wait until every worker has started. Without it the first jobs wait.

        Raises:
            WorkerError: one could not start.
        """
        for worker in self._workers:
            worker.greet()

    def run(self, function: Callable[[Any], Any], jobs: Iterable) -> Iterator[tuple[Any, Any]]:
        """(the job, what ``function(job)`` returned) in the order in which they get done; jobs are taken as workers get free.

        Args:
            function: what a fresh interpreter can import, or a ``partial`` of it.

        Raises:
            WorkerError: a worker died. Jobs that were yielded are done.
            Exception: what the function raised.
        """
        coming = iter(jobs)
        waiting: dict[Future, Any] = {}
        while True:
            for job in islice(coming, len(self) + 1 - len(waiting)):
                waiting[self._threads.submit(self._ask, function, job)] = job
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()

    def _ask(self, function: Callable, job: Any) -> Any:
        worker = self._idle.get()
        try:
            return worker.ask(function, job)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Let every worker finish its present job, then end it; one that has not even started is stopped."""
        for worker in self._workers:
            if not worker.greeted:
                worker.process.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()


class _Worker:
    """One process, seen from the parent."""

    def __init__(self, imports: str):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, "-c", _START, imports, *sys.path]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self.process.stdin is not None and self.process.stdout is not None, "both were asked for"
        self.jobs, self.answers = self.process.stdin, self.process.stdout
        self.greeted = False

    def greet(self) -> None:
        """Wait until it has started."""
        if not self.greeted:
            self._receive()
            self.greeted = True

    def ask(self, function: Callable, job: Any) -> Any:
        """``function(job)``, done there."""
        self.greet()
        try:
            _send(self.jobs, (function, job))
        except BrokenPipeError as error:
            raise self._death() from error
        result, raised, text = self._receive()
        if raised is not None:
            raise raised from RuntimeError(f"in a worker process:\n{text}")
        return result

    def _receive(self) -> Any:
        try:
            return pickle.load(self.answers)  # what our own process wrote
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._death() from error

    def _death(self) -> WorkerError:
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # alive, but what it said is no answer
            self.process.kill()
            code = self.process.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if not self.greeted:
            return WorkerError(f"a worker process could not start, it ended {how}; DMM_WORKERS=1 works without")
        return WorkerError(
            f"a worker process ended {how}, perhaps for want of memory. What it had finished is kept: run this again to go on, "
            "with fewer workers (DMM_WORKERS=1) if that happens once more"
        )

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(BrokenPipeError):  # it died before it had read all
            self.jobs.close()
        self.process.wait()
        self.answers.close()


@contextlib.contextmanager
def resumable_bar(total: int, done: int, what: str, unit: str, show: bool | None) -> Iterator[tqdm]:
    """A bar with rate and time left, on a terminal only if ``show`` is None; stopped by Ctrl-C, it says that nothing is lost."""
    with tqdm(total=total, initial=done, desc=what, unit=unit, disable=None if show is None else not show) as bar:
        try:
            yield bar
        except KeyboardInterrupt:
            bar.set_description(f"{what}: stopped, the next call goes on here")
            raise


def work(
    function: Callable[[Any], Any], jobs: Sequence, pictures: int, workers: int | None = None, imports: str = ""
) -> Generator[tuple[Any, Any], None, None]:
    """(the job, ``function(job)``) for each job: by a pool if there are pictures enough for one (:func:`useful_workers`), else here.

    Close it if you leave it early, as ``contextlib.closing`` does: the pool then finishes its present jobs, and ends.

    Raises:
        ValueError: as :func:`useful_workers`.
        WorkerError: a worker died. Jobs that were yielded are done.
    """
    count = min(useful_workers(pictures, workers), len(jobs))
    if count < 2:
        yield from ((job, function(job)) for job in jobs)
        return
    with WorkerPool(count, imports) as pool:
        yield from pool.run(function, jobs)


def _send(pipe: IO[bytes], what: Any) -> None:
    pickle.dump(what, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def serve(imports: str = "") -> None:
    """What a worker does: import a module, then take jobs from standard input and answer on standard output, until either ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.dup(0), "rb") as jobs, open(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever is printed goes to standard error

        if imports:
            importlib.import_module(imports)
        try:
            _send(answers, _READY)
            while True:
                try:
                    function, job = pickle.load(jobs)  # what the parent wrote
                except EOFError:
                    return
                _send(answers, _answer(function, job))
        except BrokenPipeError:  # the parent is gone
            os._exit(0)  # without flushing what it will not read


def _answer(function: Callable, job: Any) -> tuple[Any, Exception | None, str]:
    """(result, None, "") or (None, error, its traceback)."""
    try:
        return function(job), None, ""
    except Exception as error:  # whatever it is, the parent raises it
        text = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an error that cannot travel
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return None, error, text
