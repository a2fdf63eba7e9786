"""VideoMAE: clips of some frames, encoded with joint space-time attention (arXiv 2203.12602)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import VideoMAEConfig
from tad_blockdrop.detector.backbones.contract import Backbone, Branch, Hidden, block_drop_rate
from tad_blockdrop.detector.positions import sincos_table
from tad_blockdrop.detector.units import SubLayerName

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def clip_positions(config: VideoMAEConfig, image_size: int) -> Tensor:
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

    def __init__(self, config: VideoMAEConfig) -> None:
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


class VideoMAE(Backbone):
    """VideoMAE's transformer without a final norm; holds only the blocks of ``kept_blocks``."""

    config: VideoMAEConfig
    positions: Tensor
    pixel_mean, pixel_std = PIXEL_MEAN, PIXEL_STD
    sub_layers: ClassVar = {"attention": ("attn", "norm1", "ls1"), "mlp": ("mlp", "norm2", "ls2")}

    def __init__(self, config: VideoMAEConfig, crop: int, kept_blocks: Sequence[int]) -> None:
        super().__init__(config, crop)
        self.patch_embed = PatchEmbedding(config)
        self.register_buffer("positions", clip_positions(config, crop), persistent=False)
        self.blocks = nn.ModuleDict({str(i): _block(config, i) for i in kept_blocks})
        self._initialise()

    def _initialise(self) -> None:
        """Truncated normal weights (std 0.02) and zero biases, the convention of ViT."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv3d):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def embed_clips(self, clips: Tensor) -> Tensor:
        """(n, clip_frames, H, W, 3) pixels 0..255 -> tokens (n, n_tokens, width)."""
        tokens: Tensor = self.patch_embed(clips)
        return tokens + self.positions

    def apply_block(self, block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(After the attention residual, the block's output), both (n, n_tokens, width)."""
        mid = out = tokens
        if block.attn is not None:
            mid = out = tokens + block.drop_path1(block.attn(block.norm1(tokens)))
        if block.mlp is not None:
            out = mid + block.drop_path2(block.mlp(block.norm2(mid)))
        return mid, out

    def branches(self, block: Any) -> tuple[Branch, ...]:
        """The ends of attention and MLP."""
        ends = (block.attn and block.attn.proj, block.mlp and block.mlp.fc2)
        return tuple(Branch(last) for last in ends if last is not None)

    def hidden(self, block: Any, branch: SubLayerName) -> Hidden | None:
        """The heads, or the channels between the two layers of the MLP."""
        if branch == "attention":
            return block.attn and Hidden(block.norm1, (block.attn.qkv,), block.attn.head_dim)
        return block.mlp and Hidden(block.norm2, (block.mlp.fc1,))

    def pool_clips(self, tokens: Tensor) -> Tensor:
        """The mean over space: (n, n_tokens, width) -> (n, slices, width)."""
        return tokens.reshape(len(tokens), self.geometry.slices, -1, self.config.width).mean(dim=2)

    def load_weights(self, path: str | Path) -> str:
        """From a file of any layout known; pyramid and head in it are left out."""
        from tad_blockdrop.detector.weights.convert import load_backbone

        return load_backbone(self, path).summary()


def _block(config: VideoMAEConfig, index: int) -> Any:
    """One pre-norm block.

    Its k bias, which VideoMAE lacks, starts at zero and cannot change a softmax over keys.
    """
    return Block(
        dim=config.width,
        num_heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        qkv_bias=True,
        drop_path=block_drop_rate(config, index),
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
