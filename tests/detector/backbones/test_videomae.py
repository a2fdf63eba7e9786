"""The backbone against an independent VideoMAE and against closed forms."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from tad_blockdrop.config import VideoMAEConfig
from tad_blockdrop.detector.backbones.videomae import (
    PIXEL_MEAN,
    PIXEL_STD,
    VideoMAE,
    clip_positions,
    sincos_table,
)

CONFIG = VideoMAEConfig(width=24, depth=3, heads=3, patch=8, clip_frames=8, pretrain_size=32)


def build(config: VideoMAEConfig = CONFIG, size: int = 32) -> VideoMAE:
    torch.manual_seed(0)
    return VideoMAE(config, size, range(config.depth)).eval()


def some_frames(batch: int = 2, n_frames: int = 16, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, n_frames, size, size, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def normalised(frames: Tensor) -> Tensor:
    return (frames.float() - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)


def encode(backbone: VideoMAE, frames: Tensor) -> Tensor:
    tokens = backbone.embed(frames)
    for name in backbone.blocks:
        _, tokens = backbone.run_block(int(name), tokens)
    return tokens


@torch.no_grad()
def test_equals_the_videomae_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.VideoMAEModel(
        transformers.VideoMAEConfig(
            image_size=32,
            patch_size=8,
            num_frames=8,
            tubelet_size=2,
            hidden_size=24,
            num_hidden_layers=3,
            num_attention_heads=3,
            intermediate_size=96,
            layer_norm_eps=1e-6,
            initializer_range=0.3,
            use_mean_pooling=True,
        )
    ).eval()
    ours = build()
    ours.load_state_dict(_from_transformers(theirs.state_dict(), depth=3))
    frames = some_frames()
    clips = normalised(frames).permute(0, 1, 4, 2, 3).reshape(4, 8, 3, 32, 32)
    expected = theirs(clips).last_hidden_state
    assert expected.std() > 0.5
    torch.testing.assert_close(encode(ours, frames), expected, rtol=1e-4, atol=1e-4)


def _from_transformers(theirs: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Convert names and join q, k and v; norms and biases are randomised first."""
    for value in theirs.values():
        if value.ndim == 1:
            value.add_(torch.randn(value.shape), alpha=0.1)
    names = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    weights = {}
    for kind in ("weight", "bias"):
        source = f"embeddings.patch_embeddings.projection.{kind}"
        weights[f"patch_embed.projection.{kind}"] = theirs[source]
    for i in range(depth):
        layer = f"encoder.layer.{i}."
        for our_name, their_name in names.items():
            for kind in ("weight", "bias"):
                weights[f"blocks.{i}.{our_name}.{kind}"] = theirs[f"{layer}{their_name}.{kind}"]
        attention = f"{layer}attention.attention."
        q, v = (theirs[f"{attention}{part}.bias"] for part in ("query", "value"))
        weights[f"blocks.{i}.attn.qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
        weights[f"blocks.{i}.attn.qkv.weight"] = torch.cat(
            [theirs[f"{attention}{part}.weight"] for part in ("query", "key", "value")]
        )
    return weights


@torch.no_grad()
def test_patch_embedding_is_the_convolution_its_weights_describe() -> None:
    backbone = build()
    frames = some_frames()
    clips = normalised(frames).reshape(4, 8, 32, 32, 3).permute(0, 4, 1, 2, 3)
    convolved = backbone.patch_embed.projection(clips).flatten(2).transpose(1, 2)
    torch.testing.assert_close(
        backbone.embed(frames) - backbone.positions, convolved, rtol=1e-4, atol=1e-5
    )


def test_position_table_is_the_closed_form() -> None:
    table = sincos_table(6, 8)
    for position in range(6):
        for j in range(8):
            angle = position / 10000 ** (2 * (j // 2) / 8)
            expected = math.cos(angle) if j % 2 else math.sin(angle)
            assert table[position, j].item() == pytest.approx(expected, abs=1e-6)


def test_positions_follow_time_row_column_at_the_native_size() -> None:
    torch.testing.assert_close(clip_positions(CONFIG, 32), sincos_table(4 * 4 * 4, 24))


def test_another_size_resamples_each_time_slice_bicubically() -> None:
    positions = clip_positions(CONFIG, 48).view(4, 6, 6, 24)
    native = sincos_table(64, 24).view(4, 4, 4, 24)
    for row, column in ((0, 0), (2, 3), (5, 1)):
        expected = sum(
            (
                wy * wx * native[:, y, x]
                for y, wy in _cubic_taps(row, 4, 6)
                for x, wx in _cubic_taps(column, 4, 6)
            ),
            torch.zeros(4, 24),
        )
        torch.testing.assert_close(positions[:, row, column], expected, rtol=1e-4, atol=1e-5)


def _cubic_taps(i: int, n_in: int, n_out: int, a: float = -0.75) -> list[tuple[int, float]]:
    """Keys' cubic convolution with replicated borders, half-pixel centres."""
    centre = (i + 0.5) * n_in / n_out - 0.5
    taps = []
    for k in range(math.floor(centre) - 1, math.floor(centre) + 3):
        d = abs(centre - k)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        taps.append((min(max(k, 0), n_in - 1), near if d <= 1 else far))
    return taps


@torch.no_grad()
def test_clips_are_independent() -> None:
    backbone = build()
    frames = some_frames()
    changed = frames.clone()
    changed[0, 8:] = 0
    before, after = encode(backbone, frames), encode(backbone, changed)
    assert torch.equal(before[[0, 2, 3]], after[[0, 2, 3]])
    assert not torch.allclose(before[1], after[1])


@torch.no_grad()
def test_removing_the_clip_mean_makes_a_constant_offset_invisible() -> None:
    backbone = build(CONFIG.model_copy(update={"remove_clip_mean": True}))
    frames = some_frames() // 2
    still = torch.randint(0, 100, (32, 32, 3), dtype=torch.uint8)
    torch.testing.assert_close(
        backbone.embed(frames + still), backbone.embed(frames), rtol=1e-4, atol=1e-5
    )
    expected = normalised(frames).view(2, 2, 8, 32, 32, 3)
    expected = expected - expected.mean(dim=2, keepdim=True)
    clips = expected.reshape(4, 8, 32, 32, 3).permute(0, 4, 1, 2, 3)
    convolved = backbone.patch_embed.projection(clips).flatten(2).transpose(1, 2)
    torch.testing.assert_close(
        backbone.embed(frames) - backbone.positions, convolved, rtol=1e-4, atol=1e-5
    )


def test_drop_path_rate_follows_the_original_index() -> None:
    config = CONFIG.model_copy(update={"depth": 5, "drop_path": 0.4})
    backbone = VideoMAE(config, 32, (0, 3, 4))
    rates = {name: getattr(b.drop_path1, "drop_prob", 0.0) for name, b in backbone.blocks.items()}
    assert rates == pytest.approx({"0": 0.0, "3": 0.3, "4": 0.4})


@torch.no_grad()
def test_block_returns_the_state_after_attention_and_the_output() -> None:
    backbone = build()
    tokens = backbone.embed(some_frames())
    mid, out = backbone.run_block(1, tokens)
    block = backbone.blocks["1"]
    torch.testing.assert_close(mid, tokens + block.attn(block.norm1(tokens)))
    torch.testing.assert_close(out, block(tokens))


def test_checkpointing_keeps_less_and_changes_no_gradient() -> None:
    plain = build(CONFIG.model_copy(update={"drop_path": 0.0})).train()
    saving = build(CONFIG.model_copy(update={"drop_path": 0.0, "checkpointing": True})).train()
    saving.load_state_dict(plain.state_dict())
    kept = {}
    for backbone in (plain, saving):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(partial(_note_size, sizes), _unchanged):
            loss = encode(backbone, some_frames(1)).square().mean()
        kept[backbone] = sum(sizes)
        loss.backward()
    assert kept[saving] < 0.5 * kept[plain]
    for ours, theirs in zip(plain.parameters(), saving.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad)


def _note_size(sizes: list[int], saved: Tensor) -> Tensor:
    sizes.append(saved.numel())
    return saved


def _unchanged(saved: Tensor) -> Tensor:
    return saved


@pytest.mark.parametrize("grid", [2, 4, 8, 16, 12])
def test_pooling_to_the_grid(grid: int) -> None:
    """Two clips of four slices: eight steps. At a factor of two both ways of shrinking agree."""
    backbone = build()
    tokens = torch.randn(4, 4 * 16, 24)
    steps = torch.stack(
        [
            torch.stack([tokens[2 * b + s // 4, 16 * (s % 4) : 16 * (s % 4 + 1)].mean(0)
                         for s in range(8)], dim=1)
            for b in range(2)
        ]
    )  # fmt: skip
    features = backbone.pool(tokens, 2, grid)
    linear = nn.functional.interpolate(steps, size=grid, mode="linear", align_corners=False)
    expected = linear if grid >= 4 else steps.view(2, 24, grid, -1).mean(-1)
    torch.testing.assert_close(features, expected)


def test_frames_of_the_wrong_shape_are_refused() -> None:
    backbone = build()
    with pytest.raises(ValueError, match="multiple of 8, 32, 32"):
        backbone.embed(some_frames(n_frames=12))
    with pytest.raises(ValueError, match="multiple of 8, 32, 32"):
        backbone.embed(some_frames(size=40))
    with pytest.raises(ValueError, match=r"window\.crop \(36\)"):
        VideoMAE(CONFIG, 36, (0,))
