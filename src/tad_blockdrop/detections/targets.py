"""Target assignment: which point is responsible for which annotated segment.

ActionFormer, arXiv 2202.07925, §3.5: centre sampling and a regression range per level.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tad_blockdrop.config import HeadConfig
from tad_blockdrop.detector.heads.contract import Points

SAME_LENGTH = 1e-3  # grid steps; segments that close to the shortest share the point


@dataclass(frozen=True, eq=False)
class Targets:
    """What the points should predict; a leading batch dimension where windows are stacked.

    ``cls`` (P, K) is 0 or 1, ``offsets`` (P, 2) are distances to start and end in strides
    (zero where not positive), ``positive`` (P,) says which points own a segment.
    """

    cls: Tensor
    offsets: Tensor
    positive: Tensor


@torch.no_grad()
def assign(
    points: Points, segments: Tensor, labels: Tensor, n_classes: int, config: HeadConfig
) -> Targets:
    """Targets of one window: segments (G, 2) in grid steps, labels (G,) int64; G may be 0.

    Or of several, with a leading batch dimension on both and on the result. A segment of no
    length owns nothing, so that windows can be padded with them.

    A point can own a segment if it lies inside, within ``centre_radius`` strides of its centre,
    and the larger distance to its ends is in the point's range. The shortest such segment wins;
    segments as short within 1e-3 contribute their classes too.
    """
    if segments.shape[-2] == 0:
        empty = segments.new_zeros((*segments.shape[:-2], len(points.location), n_classes + 2))
        return Targets(empty[..., :n_classes], empty[..., n_classes:], empty[..., 0].bool())
    location, stride = points.location[:, None], points.stride[:, None]  # (P, 1)
    start, end = segments[..., None, :, 0], segments[..., None, :, 1]  # (..., 1, G)
    distance = torch.stack((location - start, end - location), dim=-1)  # (..., P, G, 2)
    centre = 0.5 * (start + end)
    radius = config.centre_radius * stride
    near_start = torch.maximum(centre - radius, start)
    near_end = torch.minimum(centre + radius, end)
    farthest = distance.amax(dim=-1)
    eligible = (location > near_start) & (location < near_end)
    eligible &= (farthest >= points.low[:, None]) & (farthest <= points.high[:, None])
    length = (end - start).expand(eligible.shape).masked_fill(~eligible, float("inf"))
    shortest, winner = length.min(dim=-1, keepdim=True)
    owners = eligible & (length <= shortest + SAME_LENGTH)
    classes = functional.one_hot(labels, n_classes).to(segments.dtype)
    positive = eligible.any(dim=-1)
    nearest = distance.take_along_dim(winner[..., None], dim=-2).squeeze(-2)
    offsets = nearest / stride * positive[..., None]
    return Targets((owners.to(segments.dtype) @ classes).clamp(max=1), offsets, positive)
