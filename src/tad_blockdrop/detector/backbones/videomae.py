"""The backbone: a VideoMAE vision transformer whose blocks can be physically removed.

Clips of ``clip_frames`` frames are encoded independently with joint space-time attention
(VideoMAE, arXiv 2203.12602). Blocks are named by their original index throughout.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tad_blockdrop.config import BackboneConfig

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def sincos_table(length: int, width: int) -> Tensor:
    """Fixed positions (length, width): sin on even channels, cos on odd ones.

    ``angle(pos, j) = pos / 10000^(2·(j // 2) / width)`` ("Attention Is All You Need", §3.5).
    """
    channel = torch.arange(width)
    frequency = 10000.0 ** (-2.0 * (channel // 2).double() / width)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()


def clip_positions(config: BackboneConfig, image_size: int) -> Tensor:
    """Positions of a clip's tokens (n_tokens, width), in the order time, row, column.

    They are those of the pre-training grid; another ``image_size`` (pixels) resamples each time
    slice's grid bicubically.
    """
    slices = config.clip_frames // config.tubelet
    native, side = config.pretrain_size // config.patch, image_size // config.patch
    table = sincos_table(slices * native * native, config.width)
    if side == native:
        return table
    grids = table.view(slices, native, native, -1).permute(0, 3, 1, 2)
    grids = functional.interpolate(grids, size=(side, side), mode="bicubic", align_corners=False)
    return grids.permute(0, 2, 3, 1).reshape(-1, config.width)


class PatchEmbedding(nn.Module):
    """Cuts clips into tubelets and projects each to ``width`` channels.

    The weights are those of a Conv3d whose kernel equals its stride. On pixels in channels-last
    memory that convolution is a matrix product, which is computed as such; the cutting then moves
    whole rows of a patch. Dividing by the standard deviation is left to the weights.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        kernel = (config.tubelet, config.patch, config.patch)
        self.projection = nn.Conv3d(3, config.width, kernel, stride=kernel)
        for name, values in (("pixel_mean", PIXEL_MEAN), ("pixel_std", PIXEL_STD)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, clip_frames, H, W, 3) pixels 0..255 -> tokens (n, n_tokens, width)."""
        t, p = self.config.tubelet, self.config.patch
        n, frames, height, width, _ = clips.shape
        rows = clips.reshape(n, frames, height, width * 3).float()
        if self.config.remove_clip_mean:
            rows = rows - rows.mean(dim=1, keepdim=True)
        else:
            rows = rows - self.pixel_mean.repeat(width)
        tubelets = rows.view(n, frames // t, t, height // p, p, width // p, p * 3)
        tubelets = tubelets.permute(0, 1, 3, 5, 2, 4, 6).reshape(n, -1, t * p * p * 3)
        weight = self.projection.weight.permute(0, 2, 3, 4, 1) / self.pixel_std
        return functional.linear(tubelets, weight.flatten(1), self.projection.bias)


class VisionTransformer(nn.Module):
    """VideoMAE ViT without a final norm; holds only the blocks of ``kept_blocks``.

    The drop-path rate of a block follows from its original index over the full depth, so a
    dropped block changes nothing in the others.
    """

    positions: Tensor

    def __init__(self, config: BackboneConfig, image_size: int, kept_blocks: Sequence[int]) -> None:
        super().__init__()
        if image_size % config.patch:
            raise ValueError(
                f"window.crop ({image_size}) must be a multiple of backbone.patch ({config.patch})"
            )
        self.config = config
        self.image_size = image_size
        self.patch_embed = PatchEmbedding(config)
        positions = clip_positions(config, image_size)
        self.register_buffer("positions", positions, persistent=False)
        self.blocks = nn.ModuleDict({str(i): _block(config, i) for i in kept_blocks})
        self._initialise()

    def _initialise(self) -> None:
        """Truncated normal weights (std 0.02) and zero biases, the convention of ViT."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv3d):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def embed(self, frames: Tensor) -> Tensor:
        """Frames (B, T, H, W, 3), 0..255, uint8 or float -> tokens (B·N, n_tokens, width).

        ``N = T / clip_frames``; the clips of one window stay adjacent.
        """
        batch, n_frames, *size = frames.shape
        clip, side = self.config.clip_frames, self.image_size
        if n_frames % clip or size != [side, side, 3]:
            raise ValueError(
                f"frames of shape {tuple(frames.shape)} do not fit a backbone built for "
                f"(batch, a multiple of {clip}, {side}, {side}, 3)"
            )
        clips = frames.reshape(batch * n_frames // clip, clip, *size)
        tokens: Tensor = self.patch_embed(clips)
        return tokens + self.positions

    def run_block(self, index: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block of original ``index``; tokens (n, n_tokens, width) in and out.

        Returns (after the attention residual, the block's output).
        """
        block = self.blocks[str(index)]
        if self.config.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(_apply, block, tokens, use_reentrant=False)  # type: ignore[no-any-return]
        return _apply(block, tokens)

    def pool(self, tokens: Tensor, batch: int, grid: int) -> Tensor:
        """Tokens (B·N, n_tokens, width) -> features (B, width, grid).

        Mean over space, the clips of a window joined in time, then onto the grid: average
        pooling when it is coarser than the tokens, linear interpolation when it is finer.
        """
        slices = self.config.clip_frames // self.config.tubelet
        steps = tokens.reshape(len(tokens), slices, -1, self.config.width).mean(dim=2)
        features = steps.reshape(batch, -1, self.config.width).transpose(1, 2)
        if grid < features.shape[-1]:
            return functional.adaptive_avg_pool1d(features, grid)
        return functional.interpolate(features, size=grid, mode="linear", align_corners=False)


def _block(config: BackboneConfig, index: int) -> Any:
    """One pre-norm block; the drop-path rate grows linearly with its original index.

    Its k bias, which VideoMAE lacks, starts at zero and cannot change a softmax over keys.
    """
    return Block(
        dim=config.width,
        num_heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        qkv_bias=True,
        drop_path=config.drop_path * index / max(config.depth - 1, 1),
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )


def _apply(block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    mid = tokens + block.drop_path1(block.attn(block.norm1(tokens)))
    return mid, mid + block.drop_path2(block.mlp(block.norm2(mid)))
