"""A lock that another thread holds for a moment, as another process would."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from filelock import FileLock


@contextmanager
def held_for(file: Path, seconds: float, last: Callable[[], object]) -> Iterator[None]:
    """Hold the lock in ``file``, go on, and release it after ``seconds`` and a call of ``last``."""
    begun = Event()

    def work() -> None:
        with FileLock(file):
            begun.set()
            Event().wait(seconds)
            last()

    thread = Thread(target=work)
    thread.start()
    begun.wait()
    yield
    thread.join()
