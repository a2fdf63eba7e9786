"""The architecture that a file's tensor shapes tell, completed from what is configured.

Shapes give width, depth, patch and counts of layers. Numbers of heads, attention windows, drop
rates and regression ranges leave no trace in weights and come from the configuration, or from
the published sizes of VideoMAE.
"""

from collections.abc import Collection, Mapping
from math import isqrt
from typing import Any, TypeVar

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
from tad_blockdrop.detector.weights.model_config import differing
from tad_blockdrop.detector.weights.opentad import OpenTad
from tad_blockdrop.detector.weights.unseen import (
    PUBLISHED,
    advice,
    assumed,
    frames_for,
    known_of_others,
)

C = TypeVar("C", VideoMAEConfig, AttentionNeckConfig, AnchorFreeConfig, DetectorConfig)

PATCHES = "a VideoMAE patch embedding: (width, 3 colours, frames, pixels, pixels), square patches"


def backbone_of(
    layout: Layout, weights: Mapping[str, Tensor], expected: BackboneConfig
) -> VideoMAEConfig:
    """The backbone in a file; what shapes do not tell is ``expected``'s if the widths agree.

    The depth counts blocks that were dropped, also the last ones, as the configuration or
    the published sizes give it away.

    Raises:
        FormatError: the tensors are not those of a VideoMAE encoder that this program has.
    """
    expected = _as_kind(VideoMAEConfig, expected)
    name = layout.name_of("backbone.patch_embed.projection.weight")
    width, colours, tubelet, patch, columns = _shape(weights, name, PATCHES, 5)
    if colours != 3 or patch != columns:
        raise FormatError(_misshapen(weights, name, PATCHES))
    blocks = layout.block_indices()
    known = expected.width == width
    if not known and width not in PUBLISHED:
        raise FormatError(
            f"width {width} is none of VideoMAE's ({', '.join(map(str, PUBLISHED))}) "
            f"and not detector.backbone.width ({expected.width}); the number of heads does not "
            "show in weights: set detector.backbone.width and detector.backbone.heads"
        )
    base = expected if known else VideoMAEConfig()
    depth, heads = (expected.depth, expected.heads) if known else PUBLISHED[width]
    assert layout.first_linear is not None  # it has been recognised by it
    hidden, _ = _shape(weights, layout.first_linear, "a linear layer", 2)
    same_ratio = known and hidden == int(width * expected.mlp_ratio)
    changes = {
        "width": width,
        "depth": max(depth, blocks[-1] + 1) if layout.droppable else blocks[-1] + 1,
        "heads": heads,
        "mlp_ratio": expected.mlp_ratio if same_ratio else hidden / width,
        "patch": patch,
        "tubelet": tubelet,
        "pretrain_size": pretrain_size(layout, weights, base, tubelet, patch),
    }
    return _validated(VideoMAEConfig, base.model_dump() | changes)


def pretrain_size(
    layout: Layout, weights: Mapping[str, Tensor], base: VideoMAEConfig, tubelet: int, patch: int
) -> int:
    """Image side (pixels) of the file's positions, or that of ``base`` if it carries none.

    Raises:
        FormatError: they are learned ones, which this backbone does not have, or those of clips
            that are longer or shorter than the ones of ``base``.
    """
    name = layout.positions
    if name not in weights:
        return base.pretrain_size
    table = weights[name].float()
    table = table.squeeze(0) if table.ndim == 3 else table
    length, width = _shape({name: table}, name, "a table of positions", 2)
    slices = max(1, base.clip_frames // tubelet)
    side = isqrt(length // slices)
    if slices * side**2 != length:
        frames = frames_for(length, base.pretrain_size, patch, tubelet)
        raise FormatError(
            f"{name} has {length} positions, not {slices} time slices of a square grid: set "
            "detector.backbone.clip_frames to "
            + ("the frames per clip of the file's model" if frames is None else str(frames))
        )
    # bfloat16 files are off by up to 2e-3
    if not torch.allclose(table, sincos_table(length, width), rtol=0, atol=5e-3):
        raise FormatError(
            f"{name} is not VideoMAE's fixed sine-cosine table but learned or "
            "of another kind; this backbone has fixed positions only"
        )
    return side * patch


def check_backbone(
    layout: Layout,
    weights: Mapping[str, Tensor],
    found: VideoMAEConfig,
    config: VideoMAEConfig,
    source: str,
    stated: Collection[str] = (),
) -> str:
    """Refuse to put weights into a backbone, ``config``, that computes something else.

    ``found``: what ``backbone_of`` says of them; ``stated``: the keys that their ``config.json``
    has, which were compared. Returns a remark on what is assumed.

    Raises:
        FormatError: names each key of the configuration to change.
    """
    known = known_of_others(layout, weights, found.width, stated)
    shown = ("width", "depth", "mlp_ratio", "patch", "tubelet", "pretrain_size")
    wrong = differing({key: getattr(found, key) for key in shown} | known, config)
    if wrong:
        raise FormatError(
            f"{source} holds another backbone; for it, set {', '.join(wrong)}"
            + _other_clips(layout, weights, config, found)
            + advice(known, config)
        )
    return assumed(layout, weights, config, {*stated, *known})


def _other_clips(
    layout: Layout, weights: Mapping[str, Tensor], config: VideoMAEConfig, found: VideoMAEConfig
) -> str:
    """The other reading of as many positions: as large as configured, in other clips."""
    if layout.positions not in weights or found.pretrain_size == config.pretrain_size:
        return ""
    length, size = weights[layout.positions].shape[-2], config.pretrain_size
    frames = frames_for(length, size, found.patch, found.tubelet)
    other = f" or, if its frames have {size} pixels, detector.backbone.clip_frames: {frames}"
    return "" if frames is None else other


def require_layers(layout: Layout, depth: int, source: str) -> None:
    """Refuse weights of fewer layers than ``depth``, which their ``config.json`` states."""
    there = len(layout.block_indices())
    if there < depth and not layout.droppable:
        raise FormatError(
            f"{source} holds {there} of the {depth} layers that its config.json states: a file "
            "is missing, or the config.json is another model's"
        )


def detector_of(
    layout: OpenTad, weights: Mapping[str, Tensor], expected: DetectorConfig
) -> DetectorConfig:
    """The whole detector in a file.

    Raises:
        FormatError: the projection or the head is not ActionFormer's.
    """
    levels = layout.count("projection.branch.{}.") + 1
    width, _, kernel = _shape(weights, "projection.embed.0.conv.weight", "a convolution", 3)
    pyramid = _as_kind(AttentionNeckConfig, expected.pyramid).model_dump() | {
        "width": width,
        "embed_layers": layout.count("projection.embed.{}."),
        "embed_kernel": kernel,
        "stem_blocks": layout.count("projection.stem.{}."),
        "levels": levels,
    }
    head = _as_kind(AnchorFreeConfig, expected.head).model_dump() | {
        "tower_layers": layout.count("rpn_head.cls_convs.{}."),
        "kernel": _shape(weights, "rpn_head.cls_head.weight", "a convolution", 3)[2],
    }
    if len(head["ranges"]) != levels:
        head["ranges"] = doubling_ranges(levels)
    return _validated(
        DetectorConfig,
        {
            "backbone": backbone_of(layout, weights, expected.backbone),
            "pyramid": _validated(AttentionNeckConfig, pyramid),
            "head": _validated(AnchorFreeConfig, head),
        },
    )


def _as_kind(kind: type[C], given: object) -> C:
    """What is given if it is of this kind, otherwise this kind's defaults."""
    return given if isinstance(given, kind) else kind()


def _shape(weights: Mapping[str, Tensor], name: str, what: str, dimensions: int) -> tuple[int, ...]:
    """The shape of a tensor of the file, which must be that of ``what``."""
    shape = tuple(weights[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise FormatError(_misshapen(weights, name, what))
    return shape


def _misshapen(weights: Mapping[str, Tensor], name: str, what: str) -> str:
    return f"{name} has shape {tuple(weights[name].shape)}, not that of {what}"


def completed(expected: BackboneConfig | None, stated: Mapping[str, Any]) -> VideoMAEConfig:
    """What is ``expected`` of a file, but for what its ``config.json`` has ``stated``."""
    values = _as_kind(VideoMAEConfig, expected).model_dump()
    return _validated(VideoMAEConfig, {**values, **stated})


def _validated(kind: type[C], values: dict[str, object]) -> C:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))} {e['msg'].removeprefix('Value error, ')}".strip()
            for e in error.errors()
        )
        raise FormatError(
            f"its tensors do not make a detector of this program: {problems}"
        ) from error
