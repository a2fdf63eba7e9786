"""What of a VideoMAE no weight shows: from the best source there is, or said to be assumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from public_layouts import DEPTH, SIZE, mmaction, opentad, release
from safetensors.torch import save_file
from torch import Tensor
from transformers import VideoMAEModel

from tad_blockdrop.config import DetectorConfig, VideoMAEConfig, WindowConfig
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.weights.convert import load_backbone, to_backbone
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.model_config import stated_keys
from tad_blockdrop.detector.weights.reading import read_weights
from tad_blockdrop.detector.weights.transformers import MODEL_TYPE, SIZES


def test_what_no_shape_shows_is_compared_with_the_models_own_word(
    model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    public.save_pretrained(tmp_path)
    load_backbone(model.backbone, tmp_path)
    file = tmp_path / "config.json"
    own = json.loads(file.read_text(encoding="utf-8"))
    heads = 2 * own["num_attention_heads"]
    file.write_text(json.dumps(own | {"num_attention_heads": heads}), encoding="utf-8")
    with pytest.raises(FormatError, match=rf"set detector\.backbone\.heads: {heads} "):
        load_backbone(model.backbone, tmp_path)
    file.write_text(json.dumps(own | {"hidden_act": "relu"}), encoding="utf-8")
    with pytest.raises(FormatError, match="computes with 'relu'"):
        load_backbone(model.backbone, tmp_path)


@pytest.mark.parametrize(
    ("stated", "advice"),
    [
        ({"image_size": 32}, r"pretrain_size: 32 \(not 16\)"),
        ({"image_size": [32, 32]}, r"pretrain_size: 32 \(not 16\)"),
        ({"num_frames": 16}, r"clip_frames: 16 \(not 8\)"),
        (
            {"num_hidden_layers": 4, "hidden_size": 48},
            r"width: 48 \(not 24\), .*depth: 4 \(not 3\)",
        ),
    ],
)
def test_sizes_that_the_model_states_are_compared(
    stated: dict[str, Any], advice: str, model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    public.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | stated))
    with pytest.raises(FormatError, match=advice):
        load_backbone(model.backbone, tmp_path)
    with pytest.raises(FormatError, match=advice):
        load_backbone(model.backbone, tmp_path / "model.safetensors")


def test_fewer_layers_than_the_model_states_are_not_a_shorter_model(
    expected: DetectorConfig, model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    public.save_pretrained(tmp_path)
    first_two = {n: t for n, t in public.state_dict().items() if ".layer.2." not in n}
    save_file(first_two, tmp_path / "model.safetensors")
    message = "holds 2 of the 3 layers that its config.json states: a file is missing"
    with pytest.raises(FormatError, match=message):
        load_backbone(model.backbone, tmp_path)
    stated = stated_keys(tmp_path, MODEL_TYPE, SIZES)
    with pytest.raises(FormatError, match=message):
        to_backbone(first_two, expected.backbone, str(tmp_path), stated)


def test_what_nothing_tells_is_said_to_be_assumed(
    model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    torch.save(release(public, "encoder."), tmp_path / "videomae.pth")
    told = load_backbone(model.backbone, tmp_path / "videomae.pth").summary()
    assert told.endswith("does not say it: heads 3, clip_frames 8, pretrain_size 16")
    torch.save(mmaction(public, ""), tmp_path / "with_positions.pth")
    told = load_backbone(model.backbone, tmp_path / "with_positions.pth").summary()
    assert told.endswith("does not say it: heads 3")
    public.save_pretrained(tmp_path / "folder")
    assert "assumed" not in load_backbone(model.backbone, tmp_path / "folder").summary()


@pytest.mark.parametrize("layout", [release, mmaction, opentad])
def test_weights_of_others_never_saw_clips_without_their_mean(
    layout: Callable[..., dict[str, Tensor]],
    expected: DetectorConfig,
    public: VideoMAEModel,
    tmp_path: Path,
) -> None:
    torch.save(layout(public) if layout is opentad else layout(public, ""), tmp_path / "w.pth")
    aided = expected.backbone.model_copy(update={"remove_clip_mean": True})
    with pytest.raises(FormatError, match=r"remove_clip_mean: false \(not true\)"):
        load_backbone(make_backbone(aided, SIZE, range(DEPTH)), tmp_path / "w.pth")
    imported = to_backbone(read_weights(tmp_path / "w.pth"), aided)
    assert not imported.config.remove_clip_mean


def test_positions_of_other_clips_say_which(
    expected: DetectorConfig, public: VideoMAEModel, tmp_path: Path
) -> None:
    """Those of the file are 4 slices of 2 x 2."""
    torch.save(mmaction(public, ""), tmp_path / "m.pth")
    shorter = expected.backbone.model_copy(update={"clip_frames": 2})
    advice = r"pretrain_size: 32 \(not 16\) or, if its frames have 16 pixels, .*clip_frames: 8"
    with pytest.raises(FormatError, match=advice):
        load_backbone(make_backbone(shorter, SIZE, range(DEPTH)), tmp_path / "m.pth")
    longer = expected.backbone.model_copy(update={"clip_frames": 16})
    with pytest.raises(FormatError, match=r"m\.pth: pos_embed .* set .*clip_frames to 8$"):
        load_backbone(make_backbone(longer, SIZE, range(DEPTH)), tmp_path / "m.pth")


def test_published_weights_in_a_backbone_with_other_heads_are_refused(tmp_path: Path) -> None:
    """The shapes agree, the function would not."""
    prefix = "blocks.0."
    weights = {
        "patch_embed.proj.weight": torch.zeros(384, 3, 2, 16, 16),
        f"{prefix}mlp.fc1.weight": torch.zeros(1536, 384),
    }
    torch.save(weights, tmp_path / "s.pth")
    config = DetectorConfig(backbone=VideoMAEConfig(width=384, depth=1, heads=4))
    small = WindowConfig(frames=32, grid=32, crop=16, short_side=16)
    with pytest.raises(FormatError, match=r"set detector\.backbone\.heads: 6 \(not 4\)"):
        load_backbone(Detector(config, 2, small).backbone, tmp_path / "s.pth")


def _as_released(backbone: Backbone) -> dict[str, Tensor]:
    """Its weights by the names of MCG-NJU, without a table of positions."""
    weights = {name.replace("projection", "proj"): t for name, t in backbone.state_dict().items()}
    bias = weights.pop("blocks.0.attn.qkv.bias")
    query, _, value = (part.clone() for part in bias.chunk(3))
    return weights | {"blocks.0.attn.q_bias": query, "blocks.0.attn.v_bias": value}


def test_published_weights_were_made_for_published_clips(tmp_path: Path) -> None:
    """Unless a config.json says that these are others."""
    config = VideoMAEConfig(depth=1, mlp_ratio=1, clip_frames=8, pretrain_size=32)
    backbone = make_backbone(config, 16, (0,))
    weights = _as_released(backbone)
    save_file(weights, tmp_path / "model.safetensors")
    wrong = r"pretrain_size: 224 \(not 32\), detector\.backbone\.clip_frames: 16 \(not 8\)"
    with pytest.raises(FormatError, match=rf"{wrong}\. .*another one.*config\.json") as refused:
        load_backbone(backbone, tmp_path)
    imported = to_backbone(weights, config).config
    assert (imported.clip_frames, imported.pretrain_size) == (16, 224)
    own = str(refused.value).partition("beside it: ")[2]
    assert json.loads(own) == {"model_type": "videomae", "num_frames": 8, "image_size": 32}
    (tmp_path / "config.json").write_text(own)
    load_backbone(backbone, tmp_path)
    assert to_backbone(weights, None, "it", stated_keys(tmp_path, MODEL_TYPE, SIZES)).config == (
        config.model_copy(update={"drop_path": VideoMAEConfig().drop_path})
    )
