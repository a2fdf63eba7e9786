"""ActionFormer's anchor-free head, shared over pyramid levels (arXiv 2202.07925, §3.4)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import AnchorFreeConfig
from tad_blockdrop.detector.heads.contract import Head
from tad_blockdrop.detector.necks.contract import ConvNormReLU, TimeConv


class AnchorFreeHead(Head):
    """Classification and regression towers with shared weights, one scale per level."""

    def __init__(self, width: int, config: AnchorFreeConfig, n_classes: int, grid: int) -> None:
        super().__init__(config, grid)
        self.class_tower = _tower(width, config)
        self.offset_tower = _tower(width, config)
        self.classify = TimeConv(width, n_classes, config.kernel, bias=True)
        self.regress = TimeConv(width, 2, config.kernel, bias=True)
        self.scales = nn.Parameter(torch.ones(len(config.ranges)))
        # every score starts at ``prior``, so that the many negatives do not swamp the first steps
        assert self.classify.bias is not None
        nn.init.constant_(self.classify.bias, -math.log((1 - config.prior) / config.prior))

    def forward(self, maps: list[Tensor], masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, C, T_l), masks (B, T_l) -> logits (B, P, K), offsets (B, P, 2) in strides."""
        logits, offsets = [], []
        for level, (channels_first, mask) in enumerate(zip(maps, masks, strict=True)):
            x = channels_first.transpose(1, 2)
            logits.append(self.classify(_run(self.class_tower, x, mask)))
            raw = self.regress(_run(self.offset_tower, x, mask))
            offsets.append(functional.relu(raw * self.scales[level]))
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


def _tower(width: int, config: AnchorFreeConfig) -> nn.ModuleList:
    return nn.ModuleList(
        ConvNormReLU(width, width, config.kernel) for _ in range(config.tower_layers)
    )


def _run(tower: nn.ModuleList, x: Tensor, mask: Tensor) -> Tensor:
    for layer in tower:
        x = layer(x, mask)
    return x
