"""Which parameters train, and with which learning rate and weight decay (docs/method.md §3).

Whatever lies under ``backbone.`` is the backbone, all the rest is the detector (neck and head).
"""

from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from tad_blockdrop.config import TrainConfig
from tad_blockdrop.detector.model import BlockModel

LORA = (".lora_A.", ".lora_B.")
DECAYED = (nn.Linear, _ConvNd)


def freeze_for(model: BlockModel, config: TrainConfig) -> None:
    """Mark every parameter as trained or frozen, whatever it was before.

    ``tuning: full`` trains everything. ``tuning: lora`` freezes the backbone but for its LoRA
    matrices, LayerNorms and, with ``lora.embedding``, embedding; call ``add_lora`` first.
    ``tuning: frozen`` freezes it all.
    """
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.LayerNorm)
        for parameter in module.parameters(recurse=False)
    }
    embedding = tuple(f"backbone.{name}" for name in model.backbone.embedding)
    for name, parameter in model.named_parameters():
        embeds = config.lora.embedding and name.startswith(embedding)
        beside = embeds or id(parameter) in norms
        adapted = config.tuning == "lora" and (beside or any(part in name for part in LORA))
        parameter.requires_grad_(config.tuning == "full" or not _in_backbone(name) or adapted)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's groups over the parameters that train.

    ``backbone``: everything trained there, at ``lr_backbone``, decayed throughout (norms and
    biases too, as published). ``detector``: weights of linear and convolutional layers, at
    ``lr_detector``, decayed. ``detector_plain``: biases, norms and scales, not decayed. Each
    group carries its ``name``; empty ones are left out.
    """
    members: dict[str, list[nn.Parameter]] = {
        "backbone": [], "detector": [], "detector_plain": []
    }  # fmt: skip
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if not parameter.requires_grad:
                continue
            if _in_backbone(name):
                members["backbone"].append(parameter)
            elif isinstance(module, DECAYED) and name.endswith("weight"):
                members["detector"].append(parameter)
            else:
                members["detector_plain"].append(parameter)
    return [
        {
            "name": name,
            "params": parameters,
            "lr": config.lr_backbone if name == "backbone" else config.lr_detector,
            "weight_decay": 0.0 if name == "detector_plain" else config.weight_decay,
        }
        for name, parameters in members.items()
        if parameters
    ]


def _in_backbone(name: str) -> bool:
    return name.startswith("backbone.")
