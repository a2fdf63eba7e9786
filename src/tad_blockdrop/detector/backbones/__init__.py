"""Transformers whose blocks can be dropped: one file per kind, one line here."""

from collections.abc import Sequence

from tad_blockdrop.config import BackboneConfig, TimmConfig, VideoMAEConfig, VJEPA2Config
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.backbones.timm_vit import TimmViT
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.detector.backbones.vjepa2 import VJEPA2

BACKBONES: dict[type[BackboneConfig], type[Backbone]] = {
    VideoMAEConfig: VideoMAE,
    TimmConfig: TimmViT,
    VJEPA2Config: VJEPA2,
}


def make_backbone(config: BackboneConfig, crop: int, kept_blocks: Sequence[int]) -> Backbone:
    """The backbone of a configuration, for frames of ``crop`` pixels, with random weights."""
    kind = BACKBONES[type(config)]
    return kind(config, crop, kept_blocks)  # type: ignore[call-arg]  # as every kind takes them
