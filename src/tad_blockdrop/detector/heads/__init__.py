"""From maps to class scores and segments: one file per kind, one line here."""

from typing import Any

from tad_blockdrop.config import AnchorFreeConfig, HeadConfig
from tad_blockdrop.detector.heads.anchor_free import AnchorFreeHead
from tad_blockdrop.detector.heads.contract import Head

HEADS: dict[type[HeadConfig], Any] = {AnchorFreeConfig: AnchorFreeHead}


def make_head(width: int, config: HeadConfig, n_classes: int, grid: int) -> Head:
    """The head of a configuration, with random weights; maps have ``width`` channels."""
    head: Head = HEADS[type(config)](width, config, n_classes, grid)
    return head
