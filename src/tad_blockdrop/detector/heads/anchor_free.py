"""The anchor-free head shared over pyramid levels, its points and how they decode.

ActionFormer, arXiv 2202.07925, §3.4: every point of every level votes for the classes of the
action around it and for the distances to its start and end.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import HeadConfig
from tad_blockdrop.detector.necks.attention import ConvNormReLU, TimeConv


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


class Head(nn.Module):
    """Classification and regression towers with shared weights, one scale per level."""

    location: Tensor
    stride: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, width: int, config: HeadConfig, n_classes: int, grid: int) -> None:
        super().__init__()
        self.class_tower = _tower(width, config)
        self.offset_tower = _tower(width, config)
        self.classify = TimeConv(width, n_classes, config.kernel, bias=True)
        self.regress = TimeConv(width, 2, config.kernel, bias=True)
        self.scales = nn.Parameter(torch.ones(len(config.ranges)))
        # every score starts at ``prior``, so that the many negatives do not swamp the first steps
        assert self.classify.bias is not None
        nn.init.constant_(self.classify.bias, -math.log((1 - config.prior) / config.prior))
        points = make_points(grid, config.ranges)
        for name in ("location", "stride", "low", "high"):
            self.register_buffer(name, getattr(points, name), persistent=False)

    @property
    def points(self) -> Points:
        """The points the outputs belong to, on the module's device."""
        return Points(self.location, self.stride, self.low, self.high)

    def forward(self, maps: list[Tensor], masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, C, T_l), masks (B, T_l) -> logits (B, P, K), offsets (B, P, 2) in strides."""
        logits, offsets = [], []
        for level, (channels_first, mask) in enumerate(zip(maps, masks, strict=True)):
            x = channels_first.transpose(1, 2)
            logits.append(self.classify(_run(self.class_tower, x, mask)))
            raw = self.regress(_run(self.offset_tower, x, mask))
            offsets.append(functional.relu(raw * self.scales[level]))
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


def _tower(width: int, config: HeadConfig) -> nn.ModuleList:
    return nn.ModuleList(
        ConvNormReLU(width, width, config.kernel) for _ in range(config.tower_layers)
    )


def _run(tower: nn.ModuleList, x: Tensor, mask: Tensor) -> Tensor:
    for layer in tower:
        x = layer(x, mask)
    return x
