"""What a criterion gathers batch by batch, in a ranking that can be cut and go on.

Imports torch: a criterion imports it where it scores.
"""

import operator
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from tad_blockdrop.compression.criteria.contract import Candidates
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.storage.resumable_pass import Gathering, resume_batches

Key = TypeVar("Key", bound=Hashable)


def candidate_batches(
    model: BlockModel, candidates: Candidates, gathering: Gathering
) -> Iterator[Any]:
    """The batches that ``gathering`` still lacks, on the model's device."""
    given = candidates
    scoring = resume_batches(given.batches, "scoring blocks", gathering, given.scratch, given.group)
    for batch in scoring:
        yield batch.to(model.device, non_blocking=True)


class Sums(Generic[Key]):
    """A sum per key and one common count, gathered batch by batch.

    ``parts``: what was added, by key. They are summed in their order at the end, so that a sum does
    not depend on how many processes gathered it.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self.parts: dict[Key, list[float]] = {key: [] for key in keys}
        self.count = 0

    def add(self, key: Key, value: float) -> None:
        """Take a part of a sum."""
        self.parts[key].append(value)

    def means(self) -> dict[Key, float]:
        """Each sum divided by the count."""
        # Not ``sum``, which rounds in another way since Python 3.12.
        sums = {key: reduce(operator.add, parts, 0.0) for key, parts in self.parts.items()}
        return {key: value / max(self.count, 1) for key, value in sums.items()}

    def state(self) -> dict[str, Tensor]:
        """All that was gathered."""
        parts = torch.tensor(list(self.parts.values()), dtype=torch.float64)
        assert parts.numel() == sum(map(len, self.parts.values()))  # all have as many
        return {"sums": parts, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the sums that ``state`` was taken from, maybe by a version that kept no parts."""
        parts = state["sums"].reshape(len(self.parts), -1).tolist()
        self.parts = dict(zip(self.parts, parts, strict=True))
        self.count = int(state["count"])

    def share(self, group: Group) -> None:
        """Hold the parts of all processes, in order of rank."""
        states = group.gather(self.state())
        counts = [state["count"] for state in states]
        parts = torch.cat([state["sums"] for state in states], dim=1)
        self.restore({"sums": parts, "count": torch.stack(counts).sum()})
