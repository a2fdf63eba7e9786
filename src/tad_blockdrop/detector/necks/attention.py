"""ActionFormer's neck: a transformer block per level (arXiv 2202.07925, §3.2-3.3).

The mask is applied wherever padding could reach a valid step: after each convolution layer, to the
keys of attention and to what blocks add. (The public code also masks before norms and the queries
and values of attention, which changes no output.)
"""

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import AttentionNeckConfig
from tad_blockdrop.detector.necks.contract import Neck, TimeConv, halve, level_norms
from tad_blockdrop.detector.positions import sincos_table

INITIAL_SCALE = 1e-4


class AffineDropPath(nn.Module):
    """A residual branch with a learnable scale per channel, dropped per sample in training."""

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), INITIAL_SCALE))
        self.drop = DropPath(rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> the same shape."""
        dropped: Tensor = self.drop(x * self.scale)
        return dropped


class ConvProjection(nn.Module):
    """The query, key or value of convolutional attention: depth-wise conv, norm, linear."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = TimeConv(width, width, 3, stride=stride, groups=width)
        self.norm = nn.LayerNorm(width)
        self.linear = _linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T / stride, C)."""
        projected: Tensor = self.linear(self.norm(self.conv(x)))
        return projected


class ConvAttention(nn.Module):
    """Masked multi-head attention over time whose q, k and v come from strided convolutions."""

    def __init__(self, width: int, heads: int, stride: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.query = ConvProjection(width, stride)
        self.key = ConvProjection(width, stride)
        self.value = ConvProjection(width, stride)
        self.output = _linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), mask (B, T') of the strided steps -> (B, T', C), zero where masked."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        bias = attention_bias(mask, self.window, q.dtype)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended * mask[..., None]


def attention_bias(mask: Tensor, window: int, dtype: torch.dtype) -> Tensor:
    """What is added to attention logits to hide padded keys (mask (B, T) false) and, unless
    ``window`` is -1, keys more than ``window // 2`` steps away.

    (B, 1, 1, T) for global and (B, 1, T, T) for local attention.
    """
    # finite, since a query among padding may see no valid key: softmax must not give NaN
    hidden = torch.finfo(dtype).min
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, hidden)
    bias = bias[:, None, None, :]
    if window == -1:
        return bias
    step = torch.arange(mask.shape[1], device=mask.device)
    outside = (step[:, None] - step).abs() > window // 2
    return bias.masked_fill(outside, float("-inf"))


class PyramidBlock(nn.Module):
    """Pre-norm transformer block over time; stride 2 halves the steps (max-pooled skip)."""

    def __init__(self, config: AttentionNeckConfig, stride: int) -> None:
        super().__init__()
        width = config.width
        self.stride = stride
        self.norm1 = nn.LayerNorm(width)
        self.attention = ConvAttention(width, config.heads, stride, config.attention_window)
        self.path1 = AffineDropPath(width, config.drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(_linear(width, 4 * width), nn.GELU(), _linear(4 * width, width))
        self.path2 = AffineDropPath(width, config.drop_path)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C), mask (B, T) -> (B, T / stride, C) and its mask."""
        mask = mask[:, :: self.stride]  # nearest-neighbour down-sampling
        valid = mask[..., None]
        skip = halve(x) if self.stride > 1 else x
        x = skip * valid + self.path1(self.attention(self.norm1(x), mask))
        return x + self.path2(self.mlp(self.norm2(x)) * valid), mask


class AttentionNeck(Neck):
    """Pre-norm transformer blocks: a stem on the finest level, then one block a level."""

    positions: Tensor

    def __init__(self, in_width: int, config: AttentionNeckConfig, grid: int) -> None:
        super().__init__(in_width, config, grid)
        width = config.width
        table = sincos_table(grid, width) / width**0.5 if config.positions else torch.zeros(1, 1)
        self.register_buffer("positions", table, persistent=False)
        self.stem = nn.ModuleList(PyramidBlock(config, 1) for _ in range(config.stem_blocks))
        self.branch = nn.ModuleList(PyramidBlock(config, 2) for _ in range(config.levels - 1))
        self.neck = level_norms(config)

    def project(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The maps before their norms, (B, T / 2^l, C) each, zero where masked, and their masks."""
        x = self.embed(features, mask) + self.positions * mask[..., None]
        for block in self.stem:
            x, mask = block(x, mask)
        maps, masks = [x], [mask]
        for block in self.branch:
            x, mask = block(x, mask)
            maps.append(x)
            masks.append(mask)
        return maps, masks


def _linear(in_width: int, out_width: int) -> nn.Linear:
    layer = nn.Linear(in_width, out_width)
    nn.init.zeros_(layer.bias)
    return layer
