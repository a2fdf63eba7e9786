"""Which parameters train, and in which group, on a small detector."""

import re

import pytest
from shortening import without
from torch import nn
from training_small import detector, train_config

from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.config import LoraSettings
from tad_blockdrop.training.groups import freeze_for, parameter_groups

# What must not be decayed, told by name: the independent description of the rule by type.
PLAIN = re.compile(r"\.bias$|norm\w*\.weight$|\.neck\.\d+\.|\.scale$|^head\.scales$")


def grouped(model: nn.Module, tuning: str) -> dict[str, set[str]]:
    """Names of the parameters of each group."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, train_config(tuning=tuning))
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    return {group["name"]: {names[id(p)] for p in group["params"]} for group in groups}


def test_lora_tuning_trains_lora_norms_and_patch_embedding_of_the_backbone() -> None:
    model = without(detector(), {1})
    config = train_config(tuning="lora")
    add_lora(model, config.lora, seed=0)
    freeze_for(model, config)
    backbone = {f"backbone.patch_embed.projection.{part}" for part in ("weight", "bias")}
    for block in (0, 2):
        prefix = f"backbone.blocks.{block}"
        backbone |= {f"{prefix}.norm{n}.{part}" for n in (1, 2) for part in ("weight", "bias")}
        backbone |= {
            f"{prefix}.attn.{layer}.lora_{matrix}.default.weight"
            for layer in ("qkv", "proj")
            for matrix in "AB"
        }
    assert grouped(model, "lora")["backbone"] == backbone


def test_detector_weights_are_decayed_and_biases_norms_and_scales_are_not() -> None:
    model = detector()
    freeze_for(model, train_config())
    rest = {name for name, _ in model.named_parameters() if not name.startswith("backbone.")}
    plain = {name for name in rest if PLAIN.search(f".{name}") or PLAIN.search(name)}
    groups = grouped(model, "lora")
    assert groups["detector_plain"] == plain
    assert groups["detector"] == rest - plain
    assert {"head.scales", "pyramid.stem.0.path1.scale", "pyramid.neck.1.weight"} <= plain
    assert "pyramid.stem.0.attention.query.conv.weight" in groups["detector"]


def test_rates_and_decay() -> None:
    model, config = detector(), train_config(weight_decay=0.05)
    settings = {g["name"]: (g["lr"], g["weight_decay"]) for g in parameter_groups(model, config)}
    assert settings == {
        "backbone": (config.lr_backbone, 0.05),
        "detector": (config.lr_detector, 0.05),
        "detector_plain": (config.lr_detector, 0.0),
    }


def test_full_tuning_trains_everything_whatever_was_frozen_before() -> None:
    model = detector().requires_grad_(False)
    freeze_for(model, train_config(tuning="full"))
    assert set.union(*grouped(model, "full").values()) == dict(model.named_parameters()).keys()


def test_frozen_parameters_are_in_no_group() -> None:
    model = detector().requires_grad_(False)
    assert parameter_groups(model, train_config()) == []
    freeze_for(model, train_config(tuning="lora"))
    assert not model.backbone.blocks["0"].attn.qkv.weight.requires_grad


@pytest.mark.parametrize("part", ["patch_embed.projection.weight", "blocks.2.norm2.bias"])
def test_lora_tuning_decays_norms_and_patch_embedding_as_published(part: str) -> None:
    model = detector()
    freeze_for(model, train_config(tuning="lora"))
    assert f"backbone.{part}" in grouped(model, "lora")["backbone"]


def test_a_patch_embedding_can_be_left_as_it_is() -> None:
    config = train_config(tuning="lora", lora=LoraSettings(embedding=False))
    model, published = detector(), detector()
    for each, settings in ((model, config), (published, train_config(tuning="lora"))):
        add_lora(each, settings.lora, seed=0)
        freeze_for(each, settings)
    embedding = {f"backbone.patch_embed.projection.{part}" for part in ("weight", "bias")}
    trained = grouped(published, "lora")
    assert grouped(model, "lora") == trained | {"backbone": trained["backbone"] - embedding}
