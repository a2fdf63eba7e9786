"""ActionFormer's projection and neck: features on the grid -> a pyramid of feature maps.

ActionFormer, arXiv 2202.07925, §3.2-3.3. Every tensor carries a boolean mask of valid steps. It
is applied wherever padding could reach a valid step: after each convolution layer, to the keys
of attention and to what blocks add. (The public code also masks before norms and the queries
and values of attention, which changes no output.) Inside, tensors are laid out (batch, time,
channels); at the doors (batch, channels, time).
"""

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import PyramidConfig
from tad_blockdrop.detector.backbones.videomae import sincos_table

INITIAL_SCALE = 1e-4


class TimeConv(nn.Conv1d):
    """A length-preserving (at stride 1) convolution over time of (B, T, C) tensors."""

    def __init__(
        self,
        in_width: int,
        out_width: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(in_width, out_width, kernel, stride, kernel // 2, groups=groups, bias=bias)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C_in) -> (B, ceil(T / stride), C_out)."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ConvNormReLU(nn.Module):
    """Convolution, LayerNorm, ReLU; padded steps of the output are zero."""

    def __init__(self, in_width: int, out_width: int, kernel: int) -> None:
        super().__init__()
        self.conv = TimeConv(in_width, out_width, kernel)
        self.norm = nn.LayerNorm(out_width, eps=1e-6)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C_in), mask (B, T) -> (B, T, C_out)."""
        return functional.relu(self.norm(self.conv(x))) * mask[..., None]


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

    def __init__(self, config: PyramidConfig, stride: int) -> None:
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
        skip = x
        if self.stride > 1:
            skip = functional.max_pool1d(x.transpose(1, 2), 3, self.stride, padding=1).transpose(
                1, 2
            )
        x = skip * valid + self.path1(self.attention(self.norm1(x), mask))
        return x + self.path2(self.mlp(self.norm2(x)) * valid), mask


class Pyramid(nn.Module):
    """Projection and neck: features (B, in_width, grid) -> one map per level.

    Level l has stride 2^l on the feature grid. The neck's norms are not masked: padded steps of
    the output are not zero (ActionFormer's behaviour, and they reach the logits at the edge).
    """

    positions: Tensor

    def __init__(self, in_width: int, config: PyramidConfig, grid: int) -> None:
        super().__init__()
        if grid % 2 ** (config.levels - 1):
            raise ValueError(
                f"window.grid ({grid}) must be a multiple of {2 ** (config.levels - 1)} "
                f"for {config.levels} pyramid levels"
            )
        width = config.width
        self.embedding = nn.ModuleList(
            ConvNormReLU(in_width if i == 0 else width, width, config.embed_kernel)
            for i in range(config.embed_layers)
        )
        table = sincos_table(grid, width) / width**0.5 if config.positions else torch.zeros(1, 1)
        self.register_buffer("positions", table, persistent=False)
        self.stem = nn.ModuleList(PyramidBlock(config, 1) for _ in range(config.stem_blocks))
        self.branch = nn.ModuleList(PyramidBlock(config, 2) for _ in range(config.levels - 1))
        self.neck = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(config.levels))

    def project(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The maps before the neck, (B, T / 2^l, C) each, zero where masked, and their masks."""
        x = features.transpose(1, 2)
        for layer in self.embedding:
            x = layer(x, mask)
        x = x + self.positions * mask[..., None]
        for block in self.stem:
            x, mask = block(x, mask)
        maps, masks = [x], [mask]
        for block in self.branch:
            x, mask = block(x, mask)
            maps.append(x)
            masks.append(mask)
        return maps, masks

    def forward(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features (B, in_width, T), mask (B, T) -> maps (B, C, T / 2^l), masks (B, T / 2^l)."""
        maps, masks = self.project(features, mask)
        return [norm(x).transpose(1, 2) for norm, x in zip(self.neck, maps, strict=True)], masks


def _linear(in_width: int, out_width: int) -> nn.Linear:
    layer = nn.Linear(in_width, out_width)
    nn.init.zeros_(layer.bias)
    return layer
