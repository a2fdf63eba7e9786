"""Work on untrusted files, in processes that can be killed when one of them hangs or crashes."""

import copy
import pickle
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.starting import clean_processes, preload

Item = TypeVar("Item")
Result = TypeVar("Result")

START_SECONDS = 120.0  # for a new process to import what the work needs
HEARTBEAT_SECONDS = 0.5  # at least this much between two heartbeats


class WorkerError(BlockDropError):
    """No worker process can be started."""


class GivenUpError(BlockDropError):
    """Work that hung, or whose process died."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a result, or the error in its place."""

    item: Item
    result: Result | None
    error: Exception | None


def run_guarded(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, timeout: float
) -> Generator[Outcome[Item, Result], None, None]:
    """Apply ``function`` to each item on ``workers`` processes; outcomes come as they are ready.

    What the function raises is the outcome's error; so is a GivenUpError after ``timeout`` seconds
    without a result or a ``heartbeat`` (the process is then killed), or when the process dies.
    ``function`` and items must be picklable. Raises WorkerError if no process can start.
    """
    queue = iter(items)
    idle: list[_Worker] = []
    busy: dict[Connection, tuple[_Worker, Item]] = {}
    try:
        while True:
            for item in islice(queue, workers - len(busy)):
                worker = idle.pop() if idle else _Worker(function)
                worker.begin(item, timeout)
                busy[worker.connection] = (worker, item)
            if not busy:
                return
            soonest = min(worker.deadline for worker, _ in busy.values())
            answered = set(wait(list(busy), max(0.0, soonest - time.monotonic())))
            for connection, (worker, item) in list(busy.items()):
                answer = worker.answer(connection in answered)
                if answer is None:
                    continue
                del busy[connection]
                if isinstance(answer[1], GivenUpError):
                    worker.kill()
                else:
                    idle.append(worker)
                yield Outcome(item, *answer)
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            worker.kill()


def guarded(
    item: Item, function: Callable[[Item], Result], timeout: float
) -> Outcome[Item, Result]:
    """What becomes of one item; for a program that does one after the other."""
    preload(function.__module__)
    (outcome,) = run_guarded(function, [item], 1, timeout)
    return outcome


class GuardedStream(Generic[Item, Result]):
    """A process that answers an item with several results, while the caller reads them.

    ``function`` gives the results of an item; it, items and results must be picklable. It is one
    result ahead of the reader. The process starts at once and ends with ``close``.
    """

    def __init__(self, function: Callable[[Item], Iterable[Result]], timeout: float) -> None:
        self._serve = partial(_send_each, function)
        self._timeout = timeout
        self._worker: _Worker | None = _Worker(self._serve)

    def start(self) -> None:
        """Wait until the process has imported what it needs; begin a new one if it was killed."""
        self._started().wait_until_ready()

    def __call__(self, item: Item) -> Generator[Result, None, None]:
        """The results of an item; read them to the end, or close the generator.

        Raises what the function raises; GivenUpError after ``timeout`` seconds in which neither a
        result nor a ``heartbeat`` begins to arrive, and when the process dies. The next item is
        not affected.
        """
        worker = self._started()
        worker.begin(item, self._timeout)
        ended = False
        try:
            while not ended:
                left = worker.deadline - time.monotonic()
                answer = worker.answer(bool(wait([worker.connection], max(0.0, left))))
                if answer is None:
                    continue
                result, error = answer
                if isinstance(result, _Part):
                    yield result.value
                    worker.renew_deadline()  # the reader's own work took time as well
                    continue
                ended = not isinstance(error, GivenUpError)
                if error is not None:
                    raise error
        finally:
            if not ended:
                self.close()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _started(self) -> "_Worker":
        if self._worker is None:
            self._worker = _Worker(self._serve)
        return self._worker


def _send_each(function: Callable[[Any], Iterable[Any]], item: Any) -> None:
    """Send each result of an item to the guarding process on its own."""
    assert _guard.connection is not None
    for result in function(item):
        _guard.connection.send((_Part(result), None))


@dataclass(frozen=True)
class _Part:
    """One result out of several, with more to come."""

    value: Any


def heartbeat() -> None:
    """Tell the process that guards this one, if any, that the work goes on.

    So that long work, such as decoding hours of video, is not taken for a hang.
    """
    now = time.monotonic()
    if _guard.connection is not None and now - _guard.sent > HEARTBEAT_SECONDS:
        _guard.sent = now
        _guard.connection.send(_HEARTBEAT)


@dataclass
class _Guard:
    """The connection to the process that guards this one, if any, and when it was last used."""

    connection: Connection | None = None
    sent: float = 0.0


_guard = _Guard()
_HEARTBEAT = None  # the first one says that everything the work needs is imported


class _Worker:
    """One process, which answers one item after the other through a pipe."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = clean_processes()
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, function), daemon=True
        )
        self.process.start()
        theirs.close()  # so that the death of the process ends the pipe
        self.patience = START_SECONDS
        self.timeout = self.deadline = 0.0

    def begin(self, item: object, timeout: float) -> None:
        self.timeout = timeout
        self.deadline = time.monotonic() + max(self.patience, timeout)
        with suppress(BrokenPipeError):  # it died: that is the answer
            self.connection.send(item)

    def wait_until_ready(self) -> None:
        """Wait for the first heartbeat. Raises WorkerError if there is none."""
        if self.patience and not wait([self.connection], self.patience):
            raise WorkerError(
                f"a worker process for videos did not start within {self.patience:g} s: is the "
                "machine out of memory?"
            )
        if self.patience:
            self.answer(is_there=True)

    def renew_deadline(self) -> None:
        """Give the next part of an answer as much time as the first."""
        self.deadline = time.monotonic() + self.timeout

    def answer(self, is_there: bool) -> tuple[Any, Exception | None] | None:
        """The answer, or that there will be none; None: not yet."""
        if not is_there:
            if time.monotonic() < self.deadline:
                return None
            return None, GivenUpError(f"given up: nothing happened for {self.timeout:g} s")
        try:
            message = self.connection.recv()
        except (EOFError, OSError) as end:  # OSError: it died while it sent
            self.process.join()
            code = self.process.exitcode
            if self.patience:
                raise WorkerError(
                    f"a worker process for videos cannot start (exit code {code}; its output is "
                    "above). In a script of your own, put the work under `if __name__ == "
                    "'__main__':`, because worker processes import the script"
                ) from end
            return None, GivenUpError(f"given up: its process died (exit code {code})")
        if message is _HEARTBEAT:
            self.patience = 0.0
            self.renew_deadline()
            return None
        result, error = message
        return result, error

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    _guard.connection = connection
    with suppress(EOFError, OSError):  # the parent is done, or gone
        connection.send(_HEARTBEAT)
        while True:
            item = connection.recv()
            try:
                answer: tuple[Any, Exception | None] = (function(item), None)
            except Exception as error:  # every failure belongs to its item; the caller sorts them
                answer = (None, _portable(error))
            connection.send(answer)


def _portable(error: Exception) -> Exception:
    """The error, or one with the same words where it cannot be sent to another process."""
    try:
        pickle.dumps(error)
        copy.copy(error)  # made anew as unpickling does it
    except Exception:  # whatever its class does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
