"""Weights out: any checkpoint of ours in the layouts of OpenTAD and of ``transformers``.

Both leave out the key bias, which no output depends on (see ``layout.without_key_bias``). Neither
can hold half a block: a sub-layer that was dropped is there again, with zeros, and adds nothing.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tad_blockdrop.config import AnchorFreeConfig, AttentionNeckConfig, VideoMAEConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.positions import sincos_table
from tad_blockdrop.detector.units import block_of
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.layout import Layout
from tad_blockdrop.detector.weights.opentad import OpenTad
from tad_blockdrop.detector.weights.public import PublicWeights
from tad_blockdrop.detector.weights.transformers import MODEL_TYPE, SIZES, Transformers


def videomae_of(checkpoint: Checkpoint) -> VideoMAEConfig:
    """The checkpoint's backbone. Raises FormatError if it is of a kind with no public layout."""
    backbone = checkpoint.detector.backbone
    if not isinstance(backbone, VideoMAEConfig):
        raise FormatError(
            f"the backbone is of kind '{backbone.kind}': OpenTAD's and transformers' VideoMAE "
            "layouts hold backbones of kind 'videomae' only. The pipeline export writes any kind "
            "as ONNX and torch.export files"
        )
    return backbone


def opentad_misfit(checkpoint: Checkpoint) -> str | None:
    """Why OpenTAD's layout cannot hold the detector; None if it can."""
    if not checkpoint.classes:
        return "OpenTAD's layout holds detectors, and this is a backbone alone"
    neck, head = checkpoint.detector.pyramid, checkpoint.detector.head
    if type(neck) is AttentionNeckConfig and type(head) is AnchorFreeConfig:
        return None
    return (
        f"OpenTAD's layout holds a neck of kind 'attention' and a head of kind 'anchor_free' only, "
        f"and the detector has '{neck.kind}' and '{head.kind}' (detector.pyramid, detector.head)"
    )


def export_opentad(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """All that ``load_state_dict`` of an OpenTAD / Progressive Block Drop detector asks for.

    Plain weights (merged, no LoRA); dropped blocks are absent and the others keep their indices.
    Besides the weights: the table of positions, the final norm that a feature map does not pass,
    and the initial loss normaliser. Raises FormatError for a detector that it cannot hold.
    """
    if misfit := opentad_misfit(checkpoint):
        raise FormatError(misfit)
    backbone, head = videomae_of(checkpoint), checkpoint.detector.head
    layout = OpenTad([f"rpn_head.scale.{level}.scale" for level in range(len(head.ranges))])
    side = backbone.pretrain_size // backbone.patch
    n_tokens = backbone.clip_frames // backbone.tubelet * side**2
    return {
        layout.positions: sincos_table(n_tokens, backbone.width)[None],
        **_renamed(layout, _whole_blocks(checkpoint)),
        f"{layout.prefix}fc_norm.weight": torch.ones(backbone.width),
        f"{layout.prefix}fc_norm.bias": torch.zeros(backbone.width),
        "rpn_head.loss_normalizer": torch.tensor(round(head.loss_normaliser)),
    }


def opentad_file(checkpoint: Checkpoint) -> dict[str, Any]:
    """What OpenTAD's tools load with ``torch.load``; EMA and trained weights are the same."""
    weights = export_opentad(checkpoint)
    return {
        "epoch": 0,
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()},
        "state_dict_ema": weights,
    }


def export_transformers(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The backbone as a file of a ``transformers`` ``VideoMAEModel``, of version 4 or 5.

    That model numbers its layers from 0 without gaps, and so are the remaining blocks here.
    """
    videomae_of(checkpoint)
    backbone, weights = {}, _whole_blocks(checkpoint)
    for number, index in enumerate(map(block_of, checkpoint.kept_blocks)):
        for name, tensor in weights.items():
            if name.startswith(f"backbone.blocks.{index}."):
                rest = name.split(".", 3)[3]
                backbone[f"backbone.blocks.{number}.{rest}"] = tensor
            elif name.startswith("backbone.patch_embed."):
                backbone[name] = tensor
    return _renamed(Transformers(prefix=""), backbone)


def transformers_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The ``config.json`` that goes with ``export_transformers``."""
    config = videomae_of(checkpoint)
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["VideoMAEModel"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "num_hidden_layers": len(checkpoint.kept_blocks),
        "num_channels": 3,
        "intermediate_size": int(config.width * config.mlp_ratio),
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        "use_mean_pooling": True,  # no final norm: the last hidden state is our last block's
    }


def public_weights(checkpoint: Checkpoint) -> PublicWeights:
    """All layouts that can hold the model; raises FormatError if none of them can."""
    return PublicWeights(
        export_transformers(checkpoint),
        transformers_config(checkpoint),
        None if opentad_misfit(checkpoint) else opentad_file(checkpoint),
    )


def _whole_blocks(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights, with zeros for sub-layers that were dropped."""
    blocks = [block_of(unit) for unit in checkpoint.kept_blocks]
    with torch.device("meta"):
        size = checkpoint.detector, len(checkpoint.classes), checkpoint.window, blocks
        shapes = {name: tensor.shape for name, tensor in Detector(*size).state_dict().items()}
    absent = {name: torch.zeros(s) for name, s in shapes.items() if name not in checkpoint.weights}
    return checkpoint.weights | absent


def _renamed(layout: Layout, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        rule = layout.rule(name)
        parts = rule.split(tensor)
        renamed |= {theirs: part.clone() for theirs, part in zip(rule.theirs, parts, strict=True)}
    return renamed
