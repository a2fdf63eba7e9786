"""The processes that do a piece of work together, and what they tell each other.

A process alone is a group too, ``ALONE``: nothing that is written for a group needs an ``if``.
Tensors travel as safetensors or as bytes; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch import distributed as dist

from tad_blockdrop.parallel.failures import LostOthersError


@contextmanager
def together() -> Iterator[None]:
    """Make an operation of several processes fail with LostOthersError.

    By itself it fails with a RuntimeError, as any other does: gloo has no error of its own.
    """
    try:
        yield
    except RuntimeError as error:
        raise LostOthersError(str(error)) from error


def share_of(n: int, rank: int, world: int) -> range:
    """Which of n things in a row are those of ``rank``: every one is somebody's."""
    return range(n * rank // world, n * (rank + 1) // world)


def share_of_runs(names: Sequence[str], rank: int, world: int) -> range:
    """The same for things in a row of which those of one name stay together."""
    n = len(names)
    starts = [i for i in range(n) if not i or names[i] != names[i - 1]] + [n]
    first, last = (
        min(starts, key=lambda start: abs(start * world - n * part)) for part in (rank, rank + 1)
    )
    return range(first, last)


@dataclass(frozen=True)
class Group:
    """This process, ``rank`` of ``world``, among the others, which all run the same program.

    Every method is called by all of them, in the same order. ``cpu``: the process group for tensors
    in main memory; those on a GPU go through the default one.
    """

    rank: int = 0
    world: int = 1
    cpu: Any = None

    def gather(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """What every process has gathered, in order of rank; tensors are on the CPU."""
        if self.world == 1:
            return [dict(tensors)]
        data = torch.frombuffer(bytearray(save(dict(tensors))), dtype=torch.uint8)
        sizes = self.counts(len(data))
        padded = data.new_zeros(max(sizes))
        padded[: len(data)] = data
        parts = [torch.empty_like(padded) for _ in sizes]
        with together():
            dist.all_gather(parts, padded, group=self.cpu)
        return [load(part[:n].numpy().tobytes()) for part, n in zip(parts, sizes, strict=True)]

    def counts(self, own: int) -> list[int]:
        """The number that every process gives, in order of rank."""
        if self.world == 1:
            return [own]
        numbers = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        with together():
            dist.all_gather(numbers, torch.tensor([own]), group=self.cpu)
        return [int(number) for number in numbers]

    def add_in_order(self, totals: Sequence[Tensor], own: Sequence[Tensor]) -> None:
        """Add to ``totals`` what every process brings, in order of rank; shapes are alike."""
        for rank in range(self.world):
            for total, part in zip(totals, own, strict=True):
                sent = part if rank == self.rank else torch.empty_like(part)
                if self.world > 1:
                    group = self.cpu if sent.device.type == "cpu" else None
                    with together():
                        dist.broadcast(sent, src=rank, group=group)
                total.add_(sent)

    def rows(self, own: int) -> Rows:
        """``own`` rows here are those of a batch that lie after the rows of lower ranks."""
        return Rows(self, tuple(self.counts(own)))

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors of one type and device by their means over all processes."""
        values = list(tensors)
        if self.world == 1 or not values:
            return
        flat = torch.cat([value.flatten() for value in values])
        with together():  # a sum: unlike NCCL, gloo has no mean
            dist.all_reduce(flat, group=self.cpu if flat.device.type == "cpu" else None)
        flat /= self.world
        parts = torch.split(flat, [value.numel() for value in values])
        for value, part in zip(values, parts, strict=True):
            value.copy_(part.view_as(value))


ALONE = Group()


@dataclass(frozen=True)
class Rows:
    """A batch of rows that is spread over a group: ``counts`` of them with each process."""

    group: Group
    counts: tuple[int, ...]

    @property
    def own(self) -> slice:
        """Where the rows of this process stand among all."""
        first = sum(self.counts[: self.group.rank])
        return slice(first, first + self.counts[self.group.rank])

    @property
    def total(self) -> int:
        """How many rows there are."""
        return sum(self.counts)

    @property
    def weight(self) -> float:
        """What a mean over own rows counts, so that the group's average is the mean over all."""
        return self.group.world * self.counts[self.group.rank] / self.total

    def join(self, rows: Tensor) -> Tensor:
        """All rows, from the own ones (n, ...).

        Differentiable: the gradient of the own rows is the sum of what all processes find. So with
        a loss that every process computes alike, the average over the group of the gradients of
        weights is what one process finds, whichever rows each has worked on.
        """
        if self.group.world == 1:
            return rows
        joined: Tensor = _Join.apply(rows, self)  # type: ignore[no-untyped-call]
        return joined


class _Join(torch.autograd.Function):
    """Own rows -> all rows, as bytes, whatever type they are of."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, place: Rows) -> Tensor:
        ctx.place = place
        group = place.group
        parts = _gather_padded(rows, place.counts, group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        place: Rows = ctx.place
        total = gradient.float().contiguous()
        with together():
            dist.all_reduce(total, group=place.group.cpu if total.device.type == "cpu" else None)
        return total[place.own].to(gradient.dtype), None


def _gather_padded(rows: Tensor, counts: Sequence[int], group: Group) -> list[Tensor]:
    """Rows of all processes: collectives want them to be of one size."""
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows
    sent = padded.flatten().view(torch.uint8)
    received = [torch.empty_like(sent) for _ in counts]
    with together():
        dist.all_gather(received, sent, group=group.cpu if rows.device.type == "cpu" else None)
    return [
        part.view(rows.dtype).view_as(padded)[:n] for part, n in zip(received, counts, strict=True)
    ]
