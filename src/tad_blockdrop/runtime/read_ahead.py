"""The next batch read while one is worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ReadAhead(Iterator[T]):
    """The same batches; a thread of its own may read the next while one is worked on."""

    def __init__(self, batches: Iterable[T]) -> None:
        self._batches = iter(batches)
        self._reader = ThreadPoolExecutor(1, "reader")
        self._coming: Future[T | None] | None = None

    def start(self) -> None:
        """Begin to read the next batch, unless that has begun."""
        if self._coming is None:
            self._coming = self._reader.submit(next, self._batches, None)

    def __next__(self) -> T:
        self.start()
        assert self._coming is not None
        batch = self._coming.result()
        self._coming = None
        if batch is None:
            raise StopIteration
        return batch
