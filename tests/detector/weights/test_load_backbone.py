"""Starting a detector from public or own backbone weights."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from public_layouts import DEPTH, encode, mmaction, opentad, release
from shortening import without
from torch import Tensor
from transformers import VideoMAEModel

from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.config import (
    DetectorConfig,
    PostprocessConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.units import SubLayer
from tad_blockdrop.detector.weights.convert import load_backbone
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.report import Status


@pytest.fixture
def file(public: VideoMAEModel, tmp_path: Path) -> Path:
    path = tmp_path / "videomae.pth"
    torch.save({"model": release(public, "encoder.")}, path)
    return path


def checkpoint_of(model: Detector) -> Checkpoint:
    return Checkpoint(
        weights_of(model), model.config, model.kept_blocks, tuple("abcde"), model.window, 4, None,
        PostprocessConfig(),
    )  # fmt: skip


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


@pytest.mark.parametrize("shape", [(), (1, 4, 4, 24), (2, 16, 24), (0, 24)])
def test_a_tensor_of_any_shape_is_told_not_tripped_over(
    shape: tuple[int, ...], model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    weights = mmaction(public, "")
    for name in ("pos_embed", "patch_embed.projection.weight", "blocks.0.mlp.layers.0.0.weight"):
        torch.save(weights | {name: torch.ones(shape)}, tmp_path / "w.pth")
        with pytest.raises(FormatError, match=rf"w\.pth: {name} has shape {re.escape(str(shape))}"):
            load_backbone(model.backbone, tmp_path / "w.pth")


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
    write_checkpoint(replace(checkpoint_of(other), weights=weights), tmp_path / "c")
    report = load_backbone(model.backbone, tmp_path / "c")
    assert not report.of(Status.UNEXPECTED, Status.RESHAPED)
    for name, value in other.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("heads", 2, r"heads: 3 \(not 2\)"),
        ("clip_frames", 16, r"clip_frames: 8 \(not 16\)"),
        ("pretrain_size", 32, r"pretrain_size: 16 \(not 32\)"),
        ("remove_clip_mean", True, r"remove_clip_mean: false \(not true\)"),
        ("drop_path", 0.3, None),
        ("checkpointing", True, None),
        ("weights", "elsewhere", None),
    ],
)
@pytest.mark.parametrize("file", ["", "weights.safetensors"])
def test_a_checkpoint_of_ours_says_itself_what_its_weights_are_for(
    key: str, value: Any, said: str | None, file: str, expected: DetectorConfig,
    window: WindowConfig, model: Detector, tmp_path: Path,
) -> None:  # fmt: skip
    write_checkpoint(checkpoint_of(model), tmp_path / "c")
    other = Detector(resized(expected, **{key: value}), 5, window)
    if said is None:
        load_backbone(other.backbone, tmp_path / "c" / file)
        return
    with pytest.raises(FormatError, match=rf"for it, set detector\.backbone\.{said}$"):
        load_backbone(other.backbone, tmp_path / "c" / file)


def test_a_checkpoint_whose_first_block_lost_its_mlp_is_known(
    model: Detector, window: WindowConfig, tmp_path: Path
) -> None:
    short = drop_block(checkpoint_of(model), SubLayer(0, "mlp"))
    write_checkpoint(short, tmp_path / "c")
    same = make_backbone(model.config.backbone, window.crop, short.kept_blocks)
    load_backbone(same, tmp_path / "c")
    for name, value in same.state_dict().items():
        assert torch.equal(short.weights[f"backbone.{name}"], value)
    with pytest.raises(FormatError, match=r"norm2\.weight is missing.*what was dropped from it"):
        load_backbone(model.backbone, tmp_path / "c")


def test_a_file_of_fewer_blocks_is_refused(
    model: Detector, public: VideoMAEModel, tmp_path: Path
) -> None:
    dropped = {k: v for k, v in opentad(public).items() if ".blocks.1." not in k}
    torch.save(dropped, tmp_path / "d.pth")
    before = weights_of(model)
    with pytest.raises(FormatError, match=r"blocks\.1\.norm1\.weight is missing"):
        load_backbone(model.backbone, tmp_path / "d.pth")
    assert all(torch.equal(before[name], value) for name, value in weights_of(model).items())


def resized(config: DetectorConfig, **changes: Any) -> DetectorConfig:
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
