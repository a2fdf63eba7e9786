"""Low-rank adaptation of layers of the blocks, and the way back (docs/method.md §3).

``W x`` becomes ``(W + scaling·B·A) x`` with A (rank, in) random and B (out, rank) zero, so an
adapted model starts as the same function (LoRA, arXiv 2106.09685, §4.1).
"""

import re
from typing import Any

import torch
from torch import nn

from tad_blockdrop.config import LoraSettings
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.errors import BlockDropError


class LoraError(BlockDropError):
    """A backbone has no layer of the name of a LoRA target."""


def check_targets(backbone: Backbone, settings: LoraSettings) -> None:
    """Raise LoraError unless the backbone has layers for all ``settings.targets``."""
    unknown = [target for target in settings.targets if target not in backbone.lora_layers]
    if unknown:
        raise LoraError(
            f"lora.targets: a backbone of kind '{backbone.config.kind}' has no {unknown[0]}; "
            f"choose from {', '.join(backbone.lora_layers)}"
        )


def add_lora(model: BlockModel, settings: LoraSettings, seed: int) -> None:
    """Give the ``settings.targets`` of every kept block a LoRA, in place.

    The rank defaults to a quarter of the backbone's width. ``seed`` fixes A whatever random
    numbers were drawn before. Every other parameter is left frozen: ``freeze_for`` decides what
    else trains. Raises ValueError if the model has LoRA already, and
    LoraError if it lacks a target.
    """
    from peft import LoraConfig, inject_adapter_in_model

    from tad_blockdrop.compression.adapted import AdaptedLinear

    if _adapted(model):
        raise ValueError("the model has LoRA already: merge_lora it before adding another")
    backbone = model.backbone
    rank = settings.rank or backbone.geometry.width // 4
    check_targets(backbone, settings)
    layers = [layer for target in settings.targets for layer in backbone.lora_layers[target]]
    targets = rf"backbone\.blocks\.\d+\.({'|'.join(map(re.escape, layers))})"
    if not any(re.fullmatch(targets, name) for name, _ in model.named_modules()):
        return  # the sub-layers that have them were all dropped
    config = LoraConfig(
        r=rank, lora_alpha=settings.scaling * rank, lora_dropout=0.0, target_modules=targets
    )
    config._register_custom_module({nn.Linear: AdaptedLinear})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


def merge_lora(model: BlockModel) -> None:
    """Fold every LoRA into its layer, ``W ← W + scaling·B·A``, in place.

    Afterwards the model is the plain detector it was before ``add_lora``, with the same
    parameter names. A model without LoRA is left as it is.
    """
    for name, layer in _adapted(model).items():
        layer.merge()
        model.set_submodule(name, layer.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def _adapted(model: nn.Module) -> dict[str, Any]:
    """The layers that carry LoRA, by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}
