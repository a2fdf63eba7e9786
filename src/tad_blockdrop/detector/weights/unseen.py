"""What of a VideoMAE no weight shows, and how it is known all the same: heads, clips, their mean.

From the best source to the worst: the ``config.json`` beside the weights, a table of positions that
some files carry along, the published sizes. What none of them tells is the configuration's, and is
said to be assumed.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from tad_blockdrop.config import VideoMAEConfig
from tad_blockdrop.detector.weights.layout import Layout
from tad_blockdrop.detector.weights.own import Own
from tad_blockdrop.detector.weights.transformers import MODEL_TYPE, SIZES

# VideoMAE-S, B, L and H: width -> (depth, heads); and the clips that all of them were made for.
PUBLISHED = {384: (12, 6), 768: (12, 12), 1024: (24, 16), 1280: (32, 16)}
PUBLISHED_CLIPS = {"clip_frames": 16, "pretrain_size": 224}
LONGEST = 64  # frames of a clip, in published video models

KEYS = ("heads", *PUBLISHED_CLIPS, "remove_clip_mean")


def known_of_others(
    layout: Layout, weights: Mapping[str, Tensor], width: int, stated: Collection[str] = ()
) -> dict[str, Any]:
    """The ``KEYS`` that are known of weights which others made.

    No one else removes the mean of a clip; a published width has its heads and its clips, unless
    the file has a table of positions. What its ``config.json`` has ``stated`` is left out.
    """
    if isinstance(layout, Own):
        return {}
    known: dict[str, Any] = {"remove_clip_mean": False}
    if width in PUBLISHED:
        known["heads"] = PUBLISHED[width][1]
        known |= {} if layout.positions in weights else PUBLISHED_CLIPS
    return {key: value for key, value in known.items() if key not in stated}


def assumed(
    layout: Layout, weights: Mapping[str, Tensor], config: VideoMAEConfig, told: Collection[str]
) -> str:
    """A remark on the ``KEYS`` that nothing has ``told``, since a wrong one would go unnoticed."""
    if layout.positions in weights:
        told = {*told, *PUBLISHED_CLIPS}
    values = [f"{key} {json.dumps(getattr(config, key))}" for key in KEYS if key not in told]
    return f"assumed, as the file does not say it: {', '.join(values)}" if values else ""


def advice(known: Mapping[str, Any], config: VideoMAEConfig) -> str:
    """How to say of a file that it is none of the published models, as ``config`` is none."""
    own = {
        SIZES[key]: getattr(config, key)
        for key in known
        if key in SIZES and known[key] != getattr(config, key)
    }
    if not own:
        return ""
    return (
        ". This is what published models of this width have; if it is another one, say so in a "
        f"config.json beside it: {json.dumps({'model_type': MODEL_TYPE} | own)}"
    )


def frames_for(positions: int, size: int, patch: int, tubelet: int) -> int | None:
    """The frames of a clip of which so many positions are the tokens, at ``size`` pixels a side."""
    slices, rest = divmod(positions, (size // patch) ** 2) if size >= patch else (0, 1)
    frames = slices * tubelet
    return frames if not rest and 0 < frames <= LONGEST else None
