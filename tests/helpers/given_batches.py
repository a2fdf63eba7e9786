"""Batches that are there already, in the place of a DataLoader."""

from collections.abc import Sequence
from typing import Any


class _Windows:
    """So many windows, all of this process."""

    def __init__(self, n: int) -> None:
        self.own = range(n)

    def __len__(self) -> int:
        return len(self.own)


class GivenBatches(list[Any]):
    """The batches in order; ``dataset`` has as many items as there are windows, all its own."""

    def __init__(self, batches: Sequence[Any]) -> None:
        super().__init__(batches)
        self.dataset = _Windows(sum(len(batch.frames) for batch in batches))
