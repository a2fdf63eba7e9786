"""Masks, windows, levels and options of ActionFormer's neck."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tad_blockdrop.config import AttentionNeckConfig
from tad_blockdrop.detector.necks.attention import (
    AffineDropPath,
    AttentionNeck,
    ConvAttention,
    attention_bias,
)
from tad_blockdrop.detector.necks.contract import ConvNormReLU
from tad_blockdrop.detector.positions import sincos_table

GRID, WIDTH = 32, 12
VALID = 21


Build = Callable[..., AttentionNeck]


@pytest.fixture
def build(loud: Callable[[nn.Module], None]) -> Build:
    def make(**changes: Any) -> AttentionNeck:
        config = AttentionNeckConfig(width=16, heads=2, levels=4).model_copy(update=changes)
        pyramid = AttentionNeck(WIDTH, config, GRID).eval()
        loud(pyramid)
        return pyramid

    return make


def inputs() -> tuple[Tensor, Tensor]:
    features = torch.randn(2, WIDTH, GRID, generator=torch.Generator().manual_seed(3))
    return features, torch.arange(GRID) < torch.tensor([[GRID], [VALID]])


@pytest.mark.parametrize(("stem", "levels"), [(2, 4), (0, 1), (1, 6)])
def test_levels_halve_and_masks_follow_their_nearest_step(
    build: Build, stem: int, levels: int
) -> None:
    pyramid = build(stem_blocks=stem, levels=levels)
    features, mask = inputs()
    maps, masks = pyramid(features, mask)
    assert [x.shape for x in maps] == [(2, 16, GRID // 2**level) for level in range(levels)]
    for level, found in enumerate(masks):
        for step in range(GRID // 2**level):
            assert found[1, step] == (step * 2**level < VALID)
    assert len(pyramid.stem) == stem
    assert len(pyramid.branch) == levels - 1


@torch.no_grad()
@pytest.mark.parametrize("attention_window", [-1, 5])
def test_padding_content_does_not_reach_valid_steps(build: Build, attention_window: int) -> None:
    """With a point-wise embedding nothing leaks; steps of the valid part all matter."""
    pyramid = build(embed_kernel=1, attention_window=attention_window)
    features, mask = inputs()
    changed = features.clone()
    changed[1, :, VALID:] = 100 * torch.randn(WIDTH, GRID - VALID)
    before, masks = pyramid(features, mask)
    after, _ = pyramid(changed, mask)
    for x, y in zip(before, after, strict=True):
        assert torch.equal(x, y)
    changed[1, :, VALID - 1] += 1
    after, _ = pyramid(changed, mask)
    for x, y, valid in zip(before, after, masks, strict=True):
        assert not torch.allclose(x[1, :, valid[1]], y[1, :, valid[1]])


@torch.no_grad()
def test_wide_embedding_sees_one_step_of_padding_per_layer_of_unmasked_input(build: Build) -> None:
    """Features are not masked (ActionFormer's behaviour): only the step next to the border is
    read by the first convolution; the second one's input is masked."""
    pyramid = build()
    features, mask = inputs()
    beyond = features.clone()
    beyond[1, :, VALID + 1 :] += 5
    at_border = features.clone()
    at_border[1, :, VALID] += 5
    before = pyramid(features, mask)[0][0]
    assert torch.equal(before, pyramid(beyond, mask)[0][0])
    assert not torch.equal(before, pyramid(at_border, mask)[0][0])


@torch.no_grad()
def test_maps_before_the_neck_are_zero_where_masked_and_the_necks_are_not(build: Build) -> None:
    pyramid = build()
    features, mask = inputs()
    maps, masks = pyramid.project(features, mask)
    for x, valid in zip(maps, masks, strict=True):
        assert (x[~valid] == 0).all()
        assert (x[valid] != 0).any()
    necks, masks = pyramid(features, mask)
    bias = pyramid.neck[0].bias
    torch.testing.assert_close(necks[0][1, :, -1], bias)


@torch.no_grad()
@pytest.mark.parametrize(("window", "stride"), [(-1, 1), (-1, 2), (5, 1), (5, 2)])
def test_attention_equals_loops(
    loud: Callable[[nn.Module], None], window: int, stride: int
) -> None:
    attention = ConvAttention(8, 2, stride, window)
    loud(attention)
    x = torch.randn(1, 16, 8)
    mask = (torch.arange(16) < 11)[None]
    strided = mask[:, ::stride]
    x = x * mask[..., None]
    found = attention(x, strided)[0]
    q, k, v = (
        _projected(getattr(attention, name), x[0], stride) for name in ("query", "key", "value")
    )
    for i in range(len(q)):
        if not strided[0, i]:
            assert (found[i] == 0).all()
            continue
        near = [
            j
            for j in range(len(q))
            if strided[0, j] and (window == -1 or abs(i - j) <= window // 2)
        ]
        heads = []
        for h in range(2):
            part = slice(4 * h, 4 * h + 4)
            logits = torch.stack([q[i, part] @ k[j, part] / math.sqrt(4) for j in near])
            heads.append(logits.softmax(0) @ torch.stack([v[j, part] for j in near]))
        torch.testing.assert_close(found[i], attention.output(torch.cat(heads)))


def _projected(projection: Any, x: Tensor, stride: int) -> Tensor:
    """Depth-wise convolution written as a loop, then norm and linear."""
    weight = projection.conv.weight[:, 0]
    padded = torch.cat([torch.zeros(1, 8), x, torch.zeros(1, 8)])
    rows = [(padded[i : i + 3] * weight.T).sum(0) for i in range(0, len(x), stride)]
    return projection.linear(projection.norm(torch.stack(rows)))


@torch.no_grad()
def test_convolution_layer_equals_loops(loud: Callable[[nn.Module], None]) -> None:
    layer = ConvNormReLU(3, 6, 3)
    loud(layer)
    x = torch.randn(1, 9, 3)
    mask = torch.arange(9) < 6
    found = layer(x, mask[None])[0]
    padded = torch.cat([torch.zeros(1, 3), x[0], torch.zeros(1, 3)])
    for i in range(9):
        row = torch.einsum("oik,ki->o", layer.conv.weight, padded[i : i + 3])
        row = (row - row.mean()) / (row.var(unbiased=False) + 1e-6).sqrt()
        row = (row * layer.norm.weight + layer.norm.bias).clamp(min=0)
        torch.testing.assert_close(found[i], row * mask[i])


@pytest.mark.parametrize("window", [-1, 3])
def test_every_query_keeps_a_finite_logit(window: int) -> None:
    """Otherwise a softmax that is not PyTorch's own (an exported one) would give NaN."""
    mask = torch.arange(8) < torch.tensor([[0], [3], [8]])
    weights = attention_bias(mask, window, torch.float32).softmax(dim=-1)
    assert weights.isfinite().all()
    assert (weights[1, 0, 0, 3:] == 0).all()


def test_norms_use_the_published_epsilons(build: Build) -> None:
    epsilons = {
        name: module.eps
        for name, module in build().named_modules()
        if isinstance(module, nn.LayerNorm)
    }
    inside_blocks = {name for name in epsilons if name.startswith(("stem", "branch"))}
    assert {epsilons[name] for name in inside_blocks} == {1e-5}
    assert {epsilons[name] for name in epsilons.keys() - inside_blocks} == {1e-6}


@torch.no_grad()
@pytest.mark.parametrize("attention_window", [-1, 5])
def test_a_window_without_valid_steps_gives_no_nan(build: Build, attention_window: int) -> None:
    pyramid = build(attention_window=attention_window)
    features, mask = inputs()
    mask[1] = False
    for x in pyramid(features, mask)[0]:
        assert x.isfinite().all()


@torch.no_grad()
def test_a_strided_block_at_zero_scale_is_a_masked_max_pool(build: Build) -> None:
    pyramid = build(stem_blocks=0, levels=2)
    pyramid.branch[0].path1.scale.zero_()
    pyramid.branch[0].path2.scale.zero_()
    features, mask = inputs()
    (fine, coarse), _ = pyramid.project(features, mask)
    for i in range(GRID // 2):
        expected = fine[:, max(2 * i - 1, 0) : 2 * i + 2].amax(dim=1)
        torch.testing.assert_close(coarse[:, i], expected * mask[:, 2 * i, None])


@torch.no_grad()
def test_absolute_positions_are_added_to_valid_steps_only(build: Build) -> None:
    without, with_them = (
        build(stem_blocks=0, levels=1),
        build(stem_blocks=0, levels=1, positions=True),
    )
    with_them.load_state_dict(without.state_dict())
    features, mask = inputs()
    (plain,), _ = without.project(features, mask)
    (shifted,), _ = with_them.project(features, mask)
    expected = sincos_table(GRID, 16) / 4 * mask[..., None]
    torch.testing.assert_close(shifted - plain, expected, rtol=1e-4, atol=1e-5)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    branch = AffineDropPath(3, 0.25)
    assert torch.equal(branch.scale, torch.full((3,), 1e-4))
    torch.nn.init.ones_(branch.scale)
    out = branch.train()(torch.ones(4000, 2, 3)).flatten(1)
    values = torch.unique(out, dim=0)
    torch.testing.assert_close(values, torch.tensor([[0.0] * 6, [1 / 0.75] * 6]))
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(branch.eval()(torch.ones(2, 2, 3)), torch.ones(2, 2, 3))


def test_a_grid_that_does_not_halve_is_refused() -> None:
    with pytest.raises(ValueError, match=r"window\.grid \(36\) must be a multiple of 8"):
        AttentionNeck(WIDTH, AttentionNeckConfig(width=16, heads=2, levels=4), 36)
