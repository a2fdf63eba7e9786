"""What a head is: class logits and distances to start and end at every point of the pyramid.

ActionFormer, arXiv 2202.07925, §3.4: every point of every level votes for the classes of the
action around it and for the distances to its start and end.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tad_blockdrop.config import HeadConfig


@dataclass(frozen=True, eq=False)
class Points:
    """The P points of all levels, finest level first; four tensors (P,), in grid steps.

    ``low`` and ``high`` bound, both inclusive, the larger distance a point regresses.
    """

    location: Tensor
    stride: Tensor
    low: Tensor
    high: Tensor


def make_points(grid: int, ranges: tuple[tuple[float, float], ...]) -> Points:
    """Points of a grid of ``grid`` steps: level l has one every 2^l steps, from 0 on."""
    rows = [
        torch.tensor([(i, 2**level, low, high) for i in range(0, grid, 2**level)])
        for level, (low, high) in enumerate(ranges)
    ]
    return Points(*torch.cat(rows).float().unbind(1))


def decode(points: Points, offsets: Tensor) -> Tensor:
    """Offsets (..., P, 2) in strides -> segments (..., P, 2) in grid steps.

    ``start = t − stride·r0``, ``end = t + stride·r1``.
    """
    distance = offsets * points.stride[:, None]
    return torch.stack(
        (points.location - distance[..., 0], points.location + distance[..., 1]), dim=-1
    )


class Head(nn.Module, ABC):
    """Maps of all levels -> logits and offsets of their points."""

    table: Tensor  # the fields of the points, one a row

    def __init__(self, config: HeadConfig, grid: int) -> None:
        super().__init__()
        points = make_points(grid, config.ranges)
        self.register_buffer("table", torch.stack(list(vars(points).values())), persistent=False)

    @property
    def points(self) -> Points:
        """The points the outputs belong to, on the module's device."""
        return Points(*self.table)

    @abstractmethod
    def forward(self, maps: list[Tensor], masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, C, T_l), masks (B, T_l) -> logits (B, P, K), offsets (B, P, 2) in strides.

        Offsets are not negative; points come level by level, the finest first.
        """
