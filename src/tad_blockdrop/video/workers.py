"""Work on untrusted files, in processes that can be killed when one of them hangs or crashes."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from tad_blockdrop.errors import BlockDropError

Item = TypeVar("Item")
Result = TypeVar("Result")

STARTING = 120.0  # seconds a new process may take to import what the work needs


class GivenUpError(BlockDropError):
    """Work that took too long, or whose process died."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a result, or the error in its place."""

    item: Item
    result: Result | None
    error: Exception | None


def run_guarded(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, timeout: float
) -> Iterator[Outcome[Item, Result]]:
    """Apply ``function`` to each item on ``workers`` processes; outcomes come as they are ready.

    What the function raises is the outcome's error; so is a GivenUpError after ``timeout`` seconds
    (the process is killed) or when the process dies. ``function`` and items must be picklable.
    """
    queue = iter(items)
    idle: list[_Worker] = []
    busy: dict[Connection, tuple[_Worker, Item]] = {}
    try:
        while True:
            while len(busy) < workers and not isinstance(item := next(queue, _END), _End):
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


class _End:
    """Marks the end of the items."""


_END = _End()
_READY = (None, None)  # the first message of a process: it has imported what it needs


class _Worker:
    """One process, which answers one item after the other through a pipe."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = _context()
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, function), daemon=True
        )
        self.process.start()
        theirs.close()  # so that the death of the process ends the pipe
        self.starting = True
        self.timeout = self.deadline = 0.0

    def begin(self, item: object, timeout: float) -> None:
        self.timeout = timeout
        self.deadline = time.monotonic() + (STARTING if self.starting else timeout)
        self.connection.send(item)

    def answer(self, is_there: bool) -> tuple[Any, Exception | None] | None:
        """The answer, or that there will be none; None: not yet."""
        if not is_there:
            if time.monotonic() < self.deadline:
                return None
            return None, GivenUpError(f"given up: no end after {self.timeout:g} s")
        try:
            result, error = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return None, GivenUpError(
                f"given up: its process died (exit code {self.process.exitcode})"
            )
        if self.starting:
            self.starting = False
            self.deadline = time.monotonic() + self.timeout
            return None
        return result, error

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    connection.send(_READY)
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):  # the parent is done, or gone
            return
        try:
            answer: tuple[Any, Exception | None] = (function(item), None)
        except Exception as error:  # every failure belongs to its item; the caller sorts them
            answer = (None, error)
        connection.send(answer)


def _context() -> ForkServerContext | SpawnContext:
    """Clean processes: forking one in which torch or a decoder has run can hang."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")
