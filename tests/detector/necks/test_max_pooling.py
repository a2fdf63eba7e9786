"""TemporalMaxer's neck: shapes, masks, and that a level is the pooled level before."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tad_blockdrop.config import MaxNeckConfig
from tad_blockdrop.detector.necks import make_neck
from tad_blockdrop.detector.necks.max_pooling import MaxNeck

GRID, WIDTH = 32, 12
VALID = 21

Build = Callable[..., MaxNeck]


@pytest.fixture
def build(loud: Callable[[nn.Module], None]) -> Build:
    def make(**changes: Any) -> MaxNeck:
        neck = make_neck(WIDTH, MaxNeckConfig(**{"width": 16, "levels": 4} | changes), GRID).eval()
        assert isinstance(neck, MaxNeck)
        loud(neck)
        return neck

    return make


def inputs() -> tuple[Tensor, Tensor]:
    features = torch.randn(2, WIDTH, GRID, generator=torch.Generator().manual_seed(3))
    return features, torch.arange(GRID) < torch.tensor([[GRID], [VALID]])


@pytest.mark.parametrize("levels", [1, 4, 6])
def test_levels_halve_and_masks_follow_their_nearest_step(build: Build, levels: int) -> None:
    maps, masks = build(levels=levels)(*inputs())
    assert [x.shape for x in maps] == [(2, 16, GRID // 2**level) for level in range(levels)]
    assert len(masks) == levels
    for level, found in enumerate(masks):
        assert found[0].all()
        assert found[1].tolist() == [step * 2**level < VALID for step in range(GRID // 2**level)]


@torch.no_grad()
def test_each_level_is_the_masked_max_pool_of_the_one_before(build: Build) -> None:
    neck = build()
    maps, masks = neck.project(*inputs())
    for level in range(1, 4):
        fine, coarse = maps[level - 1], maps[level]
        for i in range(coarse.shape[1]):
            expected = fine[:, max(2 * i - 1, 0) : 2 * i + 2].amax(dim=1)
            assert torch.equal(coarse[:, i], expected * masks[level][:, i, None])
    assert all((x[~valid] == 0).all() for x, valid in zip(maps, masks, strict=True))
    assert maps[3][masks[3]].max() > 0


@torch.no_grad()
def test_what_comes_out_is_normalised_level_by_level(build: Build) -> None:
    neck = build()
    before, _ = neck.project(*inputs())
    for x, found, norm in zip(before, neck(*inputs())[0], neck.neck, strict=True):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (x.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        expected = (scaled * norm.weight + norm.bias).transpose(1, 2)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_padding_never_reaches_a_valid_step(build: Build) -> None:
    """With a point-wise embedding nothing leaks; a wide one reads one step, as ActionFormer's."""
    features, mask = inputs()
    for kernel, leak in ((1, 0), (3, 1)):
        neck = build(embed_kernel=kernel)
        changed = features.clone()
        changed[1, :, VALID + leak :] = 100 * torch.randn(WIDTH, GRID - VALID - leak)
        before, masks = neck(features, mask)
        after, _ = neck(changed, mask)
        assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
        changed[1, :, VALID - 1] += 1
        after, _ = neck(changed, mask)
        for x, y, valid in zip(before, after, masks, strict=True):
            assert not torch.allclose(x[1, :, valid[1]], y[1, :, valid[1]])


@torch.no_grad()
def test_a_window_without_valid_steps_gives_no_nan(build: Build) -> None:
    features, mask = inputs()
    mask[1] = False
    assert all(x.isfinite().all() for x in build()(features, mask)[0])


def test_nothing_is_learned_between_levels(build: Build) -> None:
    names = {name.split(".")[0] for name, _ in build().named_parameters()}
    assert names == {"embedding", "neck"}


def test_a_grid_that_does_not_halve_is_refused() -> None:
    with pytest.raises(ValueError, match=r"window\.grid \(36\) must be a multiple of 8"):
        MaxNeck(WIDTH, MaxNeckConfig(width=16, levels=4), 36)
