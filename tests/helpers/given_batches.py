"""Batches that are there already, in the place of a DataLoader."""

from collections.abc import Sequence
from typing import Any


class GivenBatches(list[Any]):
    """The batches in order; ``dataset`` has as many items as there are windows."""

    def __init__(self, batches: Sequence[Any]) -> None:
        super().__init__(batches)
        self.dataset = range(sum(len(batch.frames) for batch in batches))
