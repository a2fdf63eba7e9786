"""The architecture that a file's tensor shapes tell, completed from what is configured.

Shapes give width, depth, patch and counts of layers. Numbers of heads, attention windows, drop
rates and regression ranges leave no trace in weights and come from the configuration, or from
the published sizes of VideoMAE.
"""

from collections.abc import Mapping
from math import isqrt
from typing import TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    BackboneConfig,
    DetectorConfig,
    VideoMAEConfig,
)
from tad_blockdrop.config.detector import doubling_ranges
from tad_blockdrop.detector.positions import sincos_table
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.layout import Layout
from tad_blockdrop.detector.weights.opentad import OpenTad
from tad_blockdrop.detector.weights.own import Own

C = TypeVar("C", VideoMAEConfig, AttentionNeckConfig, AnchorFreeConfig, DetectorConfig)

# VideoMAE-S, B, L and H: width -> (depth, heads).
PUBLISHED = {384: (12, 6), 768: (12, 12), 1024: (24, 16), 1280: (32, 16)}


def backbone_of(
    layout: Layout, weights: Mapping[str, Tensor], expected: BackboneConfig
) -> VideoMAEConfig:
    """The backbone in a file; what shapes do not tell is ``expected``'s if the widths agree.

    The depth counts blocks that were dropped, also the last ones, as the configuration or
    the published sizes give it away.

    Raises:
        FormatError: the tensors are not those of a VideoMAE encoder that this program has.
    """
    if not isinstance(expected, VideoMAEConfig):
        expected = VideoMAEConfig()
    name = layout.name_of("backbone.patch_embed.projection.weight")
    shape = tuple(weights[name].shape)
    if len(shape) != 5 or shape[1] != 3 or shape[3] != shape[4]:
        raise FormatError(
            f"{name} has shape {shape}; a VideoMAE patch embedding is (width, 3 colours, frames, "
            "pixels, pixels) with square patches"
        )
    width, _, tubelet, patch, _ = shape
    blocks = layout.block_indices()
    known = expected.width == width
    if not known and width not in PUBLISHED:
        raise FormatError(
            f"the file's width {width} is none of VideoMAE's ({', '.join(map(str, PUBLISHED))}) "
            f"and not detector.backbone.width ({expected.width}); the number of heads does not "
            "show in weights: set detector.backbone.width and detector.backbone.heads"
        )
    depth, heads = (expected.depth, expected.heads) if known else PUBLISHED[width]
    hidden = len(weights[layout.name_of(f"backbone.blocks.{blocks[0]}.mlp.fc1.weight")])
    same_ratio = known and hidden == int(width * expected.mlp_ratio)
    changes = {
        "width": width,
        "depth": max(depth, blocks[-1] + 1) if layout.droppable else blocks[-1] + 1,
        "heads": heads,
        "mlp_ratio": expected.mlp_ratio if same_ratio else hidden / width,
        "patch": patch,
        "tubelet": tubelet,
    }
    base = expected if known else VideoMAEConfig()
    size = pretrain_size(layout, weights, max(1, base.clip_frames // tubelet), patch)
    if size is not None:
        changes["pretrain_size"] = size
    return _validated(VideoMAEConfig, base.model_dump() | changes)


def pretrain_size(
    layout: Layout, weights: Mapping[str, Tensor], slices: int, patch: int
) -> int | None:
    """Image side (pixels) of the file's positions, or None if it carries none.

    Raises:
        FormatError: they are learned ones, which this backbone does not have.
    """
    if layout.positions not in weights:
        return None
    table = weights[layout.positions].float().squeeze(0)
    side = isqrt(len(table) // slices)
    if slices * side**2 != len(table):
        raise FormatError(
            f"{layout.positions} has {len(table)} positions, not {slices} time slices of a square "
            "grid: set detector.backbone.clip_frames to the frames per clip of the file's model"
        )
    # bfloat16 files are off by up to 2e-3
    if not torch.allclose(table, sincos_table(*table.shape), rtol=0, atol=5e-3):
        raise FormatError(
            f"{layout.positions} is not VideoMAE's fixed sine-cosine table but learned or "
            "of another kind; this backbone has fixed positions only"
        )
    return side * patch


def check_backbone(
    layout: Layout, weights: Mapping[str, Tensor], config: VideoMAEConfig, source: str
) -> None:
    """Refuse to put the file's weights into a backbone of another size.

    Raises:
        FormatError: names each key of the configuration to change.
    """
    found = backbone_of(layout, weights, config)
    keys = ["width", "depth", "mlp_ratio", "patch", "tubelet", "pretrain_size"]
    if config.width in PUBLISHED and not isinstance(layout, Own):
        found = found.model_copy(update={"heads": PUBLISHED[config.width][1]})
        keys.append("heads")
    wrong = [
        f"detector.backbone.{key}: {getattr(found, key)} (not {getattr(config, key)})"
        for key in keys
        if getattr(found, key) != getattr(config, key)
    ]
    if wrong:
        raise FormatError(
            f"{source} holds a backbone of another size; for it, set {', '.join(wrong)}"
        )


def detector_of(
    layout: OpenTad, weights: Mapping[str, Tensor], expected: DetectorConfig
) -> DetectorConfig:
    """The whole detector in a file.

    Raises:
        FormatError: the projection or the head is not ActionFormer's.
    """
    embedding = weights["projection.embed.0.conv.weight"]
    levels = layout.count("projection.branch.{}.") + 1
    width, _, kernel = _conv_shape("projection.embed.0.conv.weight", embedding)
    pyramid = expected.pyramid.model_dump() | {
        "width": width,
        "embed_layers": layout.count("projection.embed.{}."),
        "embed_kernel": kernel,
        "stem_blocks": layout.count("projection.stem.{}."),
        "levels": levels,
    }
    classify = weights["rpn_head.cls_head.weight"]
    head = expected.head.model_dump() | {
        "tower_layers": layout.count("rpn_head.cls_convs.{}."),
        "kernel": _conv_shape("rpn_head.cls_head.weight", classify)[2],
    }
    if len(expected.head.ranges) != levels:
        head["ranges"] = doubling_ranges(levels)
    return _validated(
        DetectorConfig,
        {
            "backbone": backbone_of(layout, weights, expected.backbone),
            "pyramid": _validated(AttentionNeckConfig, pyramid),
            "head": _validated(AnchorFreeConfig, head),
        },
    )


def _conv_shape(name: str, weight: Tensor) -> tuple[int, int, int]:
    if weight.ndim != 3:
        raise FormatError(f"{name} has shape {tuple(weight.shape)}, not that of a convolution")
    out_width, in_width, kernel = weight.shape
    return out_width, in_width, kernel


def _validated(kind: type[C], values: dict[str, object]) -> C:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))} {e['msg'].removeprefix('Value error, ')}".strip()
            for e in error.errors()
        )
        raise FormatError(
            f"the file's tensors do not make a detector of this program: {problems}"
        ) from error
