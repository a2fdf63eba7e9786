"""Points, decoding and the shared head."""

import math

import pytest
import torch
from torch import Tensor

from tad_blockdrop.config import AnchorFreeConfig
from tad_blockdrop.detector.heads.anchor_free import AnchorFreeHead
from tad_blockdrop.detector.heads.contract import decode, make_points

RANGES = ((0.0, 4.0), (4.0, 8.0), (8.0, 10000.0))


def test_points_have_no_half_stride_offset() -> None:
    points = make_points(8, RANGES)
    assert points.location.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 4, 6, 0, 4]
    assert points.stride.tolist() == [1] * 8 + [2] * 4 + [4] * 2
    assert points.low.tolist() == [0] * 8 + [4] * 4 + [8] * 2
    assert points.high.tolist() == [4] * 8 + [8] * 4 + [10000] * 2


def test_decoding_scales_by_the_stride() -> None:
    points = make_points(8, RANGES)
    offsets = torch.rand(3, 14, 2)
    segments = decode(points, offsets)
    for b in range(3):
        for p in range(14):
            t, s = points.location[p], points.stride[p]
            expected = torch.stack([t - s * offsets[b, p, 0], t + s * offsets[b, p, 1]])
            torch.testing.assert_close(segments[b, p], expected)


def maps_of(head_width: int = 6) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, head_width, n, generator=generator) for n in (8, 4, 2)]
    return maps, [torch.ones(2, n, dtype=torch.bool) for n in (8, 4, 2)]


@torch.no_grad()
def test_scores_start_at_the_prior_and_offsets_are_scaled_per_level() -> None:
    torch.manual_seed(0)
    head = AnchorFreeHead(6, AnchorFreeConfig(ranges=RANGES, prior=0.05), 3, 8)
    maps, masks = maps_of()
    logits, offsets = head(maps, masks)
    assert logits.shape == (2, 14, 3)
    assert offsets.shape == (2, 14, 2)
    assert (offsets >= 0).all()
    assert (offsets > 0).any()
    head.classify.weight.zero_()
    head.scales.copy_(torch.tensor([1.0, 2.0, 3.0]))
    logits, scaled = head(maps, masks)
    torch.testing.assert_close(logits.sigmoid(), torch.full((2, 14, 3), 0.05))
    factor = torch.tensor([1.0] * 8 + [2.0] * 4 + [3.0] * 2)[:, None]
    torch.testing.assert_close(scaled, offsets * factor)


@torch.no_grad()
def test_levels_share_weights() -> None:
    """The same map at two levels gets the same logits."""
    torch.manual_seed(0)
    head = AnchorFreeHead(6, AnchorFreeConfig(ranges=RANGES[:2]), 3, 8)
    x = torch.randn(1, 6, 4)
    valid = torch.ones(1, 4, dtype=torch.bool)
    logits, _ = head([x, x], [valid, valid])
    assert torch.equal(logits[:, :4], logits[:, 4:])


@torch.no_grad()
def test_padding_reaches_the_towers_through_the_neck_but_is_masked_inside() -> None:
    torch.manual_seed(0)
    head = AnchorFreeHead(6, AnchorFreeConfig(ranges=RANGES[:1]), 3, 8)
    x = torch.randn(1, 6, 8)
    mask = (torch.arange(8) < 5)[None]
    far, near = x.clone(), x.clone()
    far[..., 6:] += 3
    near[..., 5] += 3
    logits, _ = head([x], [mask])
    assert torch.equal(head([far], [mask])[0], logits)
    assert not torch.equal(head([near], [mask])[0][:, :5], logits[:, :5])
    constant = head([x], [mask])[0][0, 7]
    assert head.classify.bias is not None
    torch.testing.assert_close(constant, head.classify.bias)


def test_no_tower_is_a_linear_read_out() -> None:
    head = AnchorFreeHead(6, AnchorFreeConfig(ranges=RANGES, tower_layers=0, kernel=1), 3, 8)
    assert sorted(name for name, _ in head.named_parameters()) == [
        "classify.bias",
        "classify.weight",
        "regress.bias",
        "regress.weight",
        "scales",
    ]
    assert head.classify.weight.shape == (3, 6, 1)


def test_bias_is_the_log_odds_of_the_prior() -> None:
    head = AnchorFreeHead(6, AnchorFreeConfig(ranges=RANGES), 3, 8)
    assert head.classify.bias is not None
    assert head.classify.bias.tolist() == pytest.approx([-math.log(99)] * 3)
