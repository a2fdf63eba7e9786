"""Checkpoints of ours in public layouts: loadable there, and back without loss."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from public_layouts import encode, opentad
from safetensors.torch import save_file
from shortening import without
from torch import Tensor
from transformers import VideoMAEModel

from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.config import DetectorConfig, MaxNeckConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.detector.model import Detector, from_checkpoint, weights_of
from tad_blockdrop.detector.units import SubLayer
from tad_blockdrop.detector.weights.convert import load_backbone, to_backbone, to_detector
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.export import (
    export_opentad,
    export_transformers,
    opentad_file,
    opentad_misfit,
    public_weights,
    transformers_config,
)
from tad_blockdrop.detector.weights.reading import read_weights

NAMES = tuple("abcde")


@pytest.fixture(params=[(), (1,), (0, 2)], ids=["whole", "one dropped", "ends dropped"])
def checkpoint(request: pytest.FixtureRequest, model: Detector) -> Checkpoint:
    """Random everywhere; the bias of the keys, which other layouts lack, is zero."""
    generator = torch.Generator().manual_seed(10)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(0.2 * torch.randn(value.shape, generator=generator))
            if name.endswith("qkv.bias"):
                value[len(value) // 3 : 2 * len(value) // 3] = 0
    return checkpoint_of(without(model, request.param))


def checkpoint_of(model: Detector) -> Checkpoint:
    return Checkpoint(
        weights=weights_of(model),
        detector=model.config,
        kept_blocks=model.kept_units,
        classes=NAMES,
        window=model.window,
        every=4,
        fps=None,
        postprocess=PostprocessConfig(),
    )


def test_opentad_gets_exactly_its_tensors(checkpoint: Checkpoint, public: VideoMAEModel) -> None:
    theirs = opentad(public)
    gone = [i for i in range(3) if i not in checkpoint.kept_blocks]
    for i in gone:
        theirs = {k: v for k, v in theirs.items() if f".backbone.blocks.{i}." not in k}
    found = export_opentad(checkpoint)
    assert set(found) == set(theirs)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in theirs.items()}
    name = "backbone.model.backbone.pos_embed"
    torch.testing.assert_close(found[name], theirs[name])


def test_opentad_and_back_is_the_same_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    torch.save(opentad_file(checkpoint), tmp_path / "out.pth")
    back = to_detector(read_weights(tmp_path / "out.pth"), NAMES, checkpoint.detector)
    assert weights_hash(back.weights) == weights_hash(checkpoint.weights)
    assert back.config == checkpoint.detector
    assert back.kept_blocks == checkpoint.kept_blocks


def test_the_file_is_what_opentad_s_tools_expect(checkpoint: Checkpoint, tmp_path: Path) -> None:
    torch.save(opentad_file(checkpoint), tmp_path / "out.pth")
    content = torch.load(tmp_path / "out.pth", weights_only=True)
    assert isinstance(content["epoch"], int)
    trained, averaged = content["state_dict"], content["state_dict_ema"]
    assert set(trained) == {f"module.{name}" for name in averaged}
    name = "rpn_head.cls_head.weight"
    assert torch.equal(averaged[name], checkpoint.weights["head.classify.weight"])
    # the same weights under both names take no more disk than once
    once = sum(value.numel() * value.element_size() for value in averaged.values())
    assert (tmp_path / "out.pth").stat().st_size < 1.9 * once + 100_000


@torch.no_grad()
def test_a_trained_key_bias_changes_no_output(checkpoint: Checkpoint, clips: Tensor) -> None:
    for name, value in checkpoint.weights.items():
        if name.endswith("qkv.bias"):
            value[24:48] = torch.randn(24)
    back = to_detector(export_opentad(checkpoint), NAMES, checkpoint.detector)
    frames, mask = clips.flatten(0, 1)[None], torch.ones(1, 16, dtype=torch.bool)
    ours = from_checkpoint(checkpoint)
    expected = ours(frames, mask).logits
    ours.load_state_dict(back.weights)
    torch.testing.assert_close(ours(frames, mask).logits, expected, rtol=1e-4, atol=1e-5)


def write_transformers(checkpoint: Checkpoint, folder: Path) -> None:
    weights = export_transformers(checkpoint)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(transformers_config(checkpoint)))


@pytest.mark.parametrize("aided", [False, True])
def test_the_transformers_folder_says_itself_what_it_was_trained_on(
    aided: bool, checkpoint: Checkpoint, window: WindowConfig, tmp_path: Path
) -> None:
    backbone = checkpoint.detector.backbone.model_copy(update={"remove_clip_mean": aided})
    detector = checkpoint.detector.model_copy(update={"backbone": backbone})
    write_transformers(replace(checkpoint, detector=detector), tmp_path)
    kept = range(len(checkpoint.kept_blocks))
    size = {"depth": len(kept), "remove_clip_mean": aided}
    load_backbone(make_backbone(backbone.model_copy(update=size), window.crop, kept), tmp_path)
    other = backbone.model_copy(update=size | {"remove_clip_mean": not aided})
    with pytest.raises(FormatError, match=r"set detector\.backbone\.remove_clip_mean: "):
        load_backbone(make_backbone(other, window.crop, kept), tmp_path)


@torch.no_grad()
def test_transformers_computes_the_same(
    checkpoint: Checkpoint, clips: Tensor, tmp_path: Path
) -> None:
    write_transformers(checkpoint, tmp_path)
    theirs, facts = VideoMAEModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(facts[key] for key in ("unexpected_keys", "mismatched_keys"))
    # some of version 5 have one, which no output depends on
    assert all(key.endswith(".key.bias") for key in facts["missing_keys"])
    ours = from_checkpoint(checkpoint)
    tokens = ours.backbone.embed(clips)
    for index in ours.kept_blocks:
        tokens = ours.backbone.run_block(index, tokens)[1]
    torch.testing.assert_close(encode(theirs.eval(), clips), tokens, rtol=1e-4, atol=1e-5)


def test_biases_have_the_names_that_every_version_of_transformers_reads(
    checkpoint: Checkpoint,
) -> None:
    """Version 4 has no others for these; 5 renames them when it loads."""
    attention = "encoder.layer.0.attention."
    names = {name for name in export_transformers(checkpoint) if name.startswith(attention)}
    assert {name.removeprefix(attention) for name in names if name.endswith("bias")} == {
        "attention.q_bias",
        "attention.v_bias",
        "output.dense.bias",
    }


def test_opentad_holds_no_other_neck_and_no_backbone_alone(
    model: Detector, expected: DetectorConfig
) -> None:
    neck = MaxNeckConfig(width=16, levels=3)
    pooling = Detector(expected.model_copy(update={"pyramid": neck}), len(NAMES), model.window)
    checkpoint = checkpoint_of(pooling)
    with pytest.raises(FormatError, match=r"the detector has 'max' and 'anchor_free'"):
        export_opentad(checkpoint)
    weights = public_weights(checkpoint)
    assert weights.opentad is None
    assert weights.transformers.keys() == export_transformers(checkpoint_of(model)).keys()
    alone = replace(checkpoint_of(model), classes=())
    assert "a backbone alone" in str(opentad_misfit(alone))
    assert public_weights(checkpoint_of(model)).opentad is not None


def test_transformers_and_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_transformers(checkpoint, tmp_path)
    back = to_backbone(read_weights(tmp_path), checkpoint.detector.backbone)
    assert back.config.depth == len(checkpoint.kept_blocks)
    for number, index in enumerate(checkpoint.kept_blocks):
        for name in ("attn.qkv.bias", "attn.qkv.weight", "mlp.fc2.weight", "norm2.bias"):
            found = back.weights[f"blocks.{number}.{name}"]
            assert torch.equal(found, checkpoint.weights[f"backbone.blocks.{index}.{name}"])


@torch.no_grad()
def test_a_dropped_sub_layer_is_zeros_elsewhere(model: Detector, clips: Tensor) -> None:
    short = checkpoint_of(model)
    for unit in (SubLayer(0, "mlp"), SubLayer(2, "attention")):
        short = drop_block(short, unit)
    back = to_detector(export_opentad(short), NAMES, short.detector)
    assert back.kept_blocks == (0, 1, 2)
    whole = Detector(short.detector, len(NAMES), short.window).eval()
    whole.load_state_dict(back.weights)
    frames, mask = clips.flatten(0, 1)[None], torch.ones(1, 16, dtype=torch.bool)
    expected = from_checkpoint(short)(frames, mask).logits
    torch.testing.assert_close(whole(frames, mask).logits, expected, rtol=1e-4, atol=1e-5)
    assert transformers_config(short)["num_hidden_layers"] == 3
