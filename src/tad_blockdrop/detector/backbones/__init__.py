"""Transformers whose blocks can be dropped: one file per kind, one line here."""

from collections.abc import Sequence

from tad_blockdrop.config import BackboneConfig, TimmConfig, VideoMAEConfig, VJEPA2Config
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.backbones.timm_vit import TimmViT
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.detector.backbones.vjepa2 import VJEPA2
from tad_blockdrop.detector.units import SubLayer, Unit, block_of

BACKBONES: dict[type[BackboneConfig], type[Backbone]] = {
    VideoMAEConfig: VideoMAE,
    TimmConfig: TimmViT,
    VJEPA2Config: VJEPA2,
}


def make_backbone(config: BackboneConfig, crop: int, kept: Sequence[Unit]) -> Backbone:
    """The backbone of a configuration, for frames of ``crop`` pixels, with random weights.

    ``kept``: its blocks, or of a block the only sub-layer that is left. Raises ValueError for
    sub-layers of a kind that has none.
    """
    kind = BACKBONES[type(config)]
    backbone = kind(config, crop, [block_of(unit) for unit in kept])  # type: ignore[call-arg]  # as every kind takes them
    for unit in kept:
        if isinstance(unit, SubLayer):
            if not kind.sub_layers:
                raise ValueError(f"a backbone of kind '{config.kind}' has no sub-layer {unit}")
            backbone.drop(unit.other)
    return backbone
