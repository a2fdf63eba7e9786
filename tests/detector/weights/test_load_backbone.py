"""Starting a detector from public or own backbone weights."""

import json
from pathlib import Path

import pytest
import torch
from public_layouts import DEPTH, encode, mmaction, opentad, release
from shortening import without
from torch import Tensor
from transformers import VideoMAEModel

from tad_blockdrop.config import (
    DetectorConfig,
    PostprocessConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.weights.convert import load_backbone
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.report import Status


@pytest.fixture
def file(public: VideoMAEModel, tmp_path: Path) -> Path:
    path = tmp_path / "videomae.pth"
    torch.save({"model": release(public, "encoder.")}, path)
    return path


@torch.no_grad()
def test_the_backbone_is_the_file_s_and_the_rest_is_left_to_training(
    model: Detector, file: Path, public: VideoMAEModel, clips: Tensor
) -> None:
    before = weights_of(model)
    load_backbone(model.backbone, file)
    tokens = model.backbone.embed(clips)
    for index in model.kept_blocks:
        tokens = model.backbone.run_block(index, tokens)[1]
    torch.testing.assert_close(tokens, encode(public, clips), rtol=1e-4, atol=1e-5)
    after = weights_of(model)
    for name in after:
        same = torch.equal(before[name], after[name])
        assert same != name.startswith("backbone."), name


def test_a_detector_file_gives_its_backbone(
    model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    torch.save({"state_dict_ema": opentad(public)}, tmp_path / "d.pth")
    report = load_backbone(model.backbone, tmp_path / "d.pth")
    assert not report.of(Status.UNEXPECTED)
    name = "patch_embed.projection.bias"
    found = model.backbone.state_dict()[name]
    assert torch.equal(found, opentad(public)[f"backbone.model.backbone.{name}"])


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


def test_numbers_without_their_scale_are_refused(
    model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    weights = {name: (100 * t).to(torch.int8) for name, t in release(public, "encoder.").items()}
    torch.save(weights, tmp_path / "int8.pth")
    with pytest.raises(FormatError, match="is stored as int8: save"):
        load_backbone(model.backbone, tmp_path / "int8.pth")


def test_blocks_that_the_model_has_dropped_are_left_out(model: Detector, file: Path) -> None:
    model = without(model, {1})
    report = load_backbone(model.backbone, file)
    unused = {e.theirs.split(".")[2] for e in report.of(Status.UNUSED) if "blocks" in e.theirs}
    assert unused == {"1"}
    assert not report.of(Status.UNEXPECTED)


@pytest.mark.parametrize("whole", [True, False])
def test_a_checkpoint_folder_of_ours(
    whole: bool, expected: DetectorConfig, window: WindowConfig, model: Detector, tmp_path: Path
) -> None:
    torch.manual_seed(9)
    other = Detector(expected, 5, window)
    weights = weights_of(other)
    if not whole:  # as the pipeline import_weights makes them of backbone files
        weights = {k: v for k, v in weights.items() if k.startswith("backbone.")}
    checkpoint = Checkpoint(
        weights, expected, other.kept_blocks, tuple("abcde"), window, 4, None, PostprocessConfig()
    )
    write_checkpoint(checkpoint, tmp_path / "c")
    report = load_backbone(model.backbone, tmp_path / "c")
    assert not report.of(Status.UNEXPECTED, Status.RESHAPED)
    for name, value in other.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value)


def test_a_file_of_fewer_blocks_is_refused(
    model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    dropped = {k: v for k, v in opentad(public).items() if ".blocks.1." not in k}
    torch.save(dropped, tmp_path / "d.pth")
    before = weights_of(model)
    with pytest.raises(FormatError, match=r"blocks\.1\.norm1\.weight is missing"):
        load_backbone(model.backbone, tmp_path / "d.pth")
    assert all(torch.equal(before[name], value) for name, value in weights_of(model).items())


def resized(config: DetectorConfig, **changes: int) -> DetectorConfig:
    backbone = VideoMAEConfig.model_validate(config.backbone.model_dump() | changes)
    return config.model_copy(update={"backbone": backbone})


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"depth": DEPTH + 1}, r"detector\.backbone\.depth: 3 \(not 4\)"),
        ({"depth": DEPTH - 1}, r"detector\.backbone\.depth: 3 \(not 2\)"),
        ({"mlp_ratio": 4}, r"detector\.backbone\.mlp_ratio: 2\.0 \(not 4\.0\)"),
        ({"pretrain_size": 32}, r"detector\.backbone\.pretrain_size: 16 \(not 32\)"),
        ({"width": 48}, r"width 24 is none of VideoMAE's.*not detector\.backbone\.width \(48\)"),
    ],
)
def test_another_size_names_the_keys_to_change(
    changes: dict[str, int],
    advice: str,
    expected: DetectorConfig,
    window: WindowConfig,
    public: VideoMAEModel,
    tmp_path: Path,
) -> None:
    torch.save(mmaction(public, "backbone."), tmp_path / "m.pth")
    model = Detector(resized(expected, **changes), 5, window)
    with pytest.raises(FormatError, match=advice):
        load_backbone(model.backbone, tmp_path / "m.pth")


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
