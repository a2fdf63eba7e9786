"""What a neck is: a projection of the features, then one map per level of a pyramid.

Every tensor carries a boolean mask of valid steps. Inside, tensors are laid out (batch, time,
channels); at the doors (batch, channels, time).
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import NeckConfig


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


class Neck(nn.Module, ABC):
    """Features (B, in_width, grid) -> one map per level; level l has stride 2^l on the grid.

    The norms at the end are not masked: padded steps of the output are not zero (ActionFormer's
    behaviour, and they reach the logits at the edge).
    """

    neck: nn.ModuleList  # of norms, one a level; made by the kind, after what it learns

    def __init__(self, in_width: int, config: NeckConfig, grid: int) -> None:
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

    def embed(self, features: Tensor, mask: Tensor) -> Tensor:
        """The projection: features (B, in_width, T), mask (B, T) -> (B, T, width)."""
        x = features.transpose(1, 2)
        for layer in self.embedding:
            x = layer(x, mask)
        return x

    @abstractmethod
    def project(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The maps before their norms, (B, T / 2^l, width) each, and their masks (B, T / 2^l)."""

    def forward(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features (B, in_width, T), mask (B, T) -> maps (B, width, T / 2^l) and their masks."""
        maps, masks = self.project(features, mask)
        return [norm(x).transpose(1, 2) for norm, x in zip(self.neck, maps, strict=True)], masks


def level_norms(config: NeckConfig) -> nn.ModuleList:
    """A LayerNorm for the map of each level."""
    return nn.ModuleList(nn.LayerNorm(config.width, eps=1e-6) for _ in range(config.levels))


def halve(x: Tensor) -> Tensor:
    """Max pooling over three steps with stride 2: (B, T, C) -> (B, T / 2, C)."""
    return functional.max_pool1d(x.transpose(1, 2), 3, 2, padding=1).transpose(1, 2)
