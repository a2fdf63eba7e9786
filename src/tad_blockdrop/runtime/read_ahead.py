"""The next batch read while one is worked on, and what to do where that takes longer."""

import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tad_blockdrop.runtime.devices import cores_here

T = TypeVar("T")

WORTH_SAYING = 0.1  # share of the time that is waited
LONG = 10.0  # seconds that are waited


class ReadAhead(Iterator[T]):
    """The same batches; a thread of its own may read the next while one is worked on.

    ``waited``: the seconds for which batches were waited for so far.
    """

    def __init__(self, batches: Iterable[T]) -> None:
        self._batches = iter(batches)
        self._reader = ThreadPoolExecutor(1, "reader")
        self._coming: Future[T | None] | None = None
        self.waited = 0.0

    def start(self) -> None:
        """Begin to read the next batch, unless that has begun."""
        if self._coming is None:
            self._coming = self._reader.submit(next, self._batches, None)

    def __next__(self) -> T:
        self.start()
        assert self._coming is not None
        asked = time.perf_counter()
        batch = self._coming.result()
        self.waited += time.perf_counter() - asked
        self._coming = None
        if batch is None:
            raise StopIteration
        return batch


def waiting_advice(waited: float, whole: float, workers: int, quicker: str) -> str | None:
    """A sentence on ``waited`` out of ``whole`` seconds; None where they are not worth one.

    ``workers``: processes that read; ``quicker``: what else makes reading quicker, or nothing.
    """
    if waited < LONG or waited < WORTH_SAYING * whole:
        return None
    reading = max(workers, 1)
    # While the model works, as many batches are read as in the time that is waited.
    needed = min(math.ceil(reading * whole / max(whole - waited, 1e-3)), cores_here())
    options = [f"runtime.workers: {needed} (now {workers})"] if needed > workers else []
    options += [quicker] if quicker else []
    advice = f": set {' or '.join(options)}" if options else ""
    return f"{waited / whole:.0%} of the time was spent waiting for data{advice}"
