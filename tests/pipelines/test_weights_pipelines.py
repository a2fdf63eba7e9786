"""The import and export pipelines: a public file in, a checkpoint, public files out again."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, DatasetError, MemoryDataset, Version
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from safetensors.torch import load_file
from torch import Tensor

from tad_blockdrop.checksums import DamagedError
from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    MaxNeckConfig,
    PostprocessConfig,
    RuntimeConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.config.weights import ImportWeightsConfig
from tad_blockdrop.datasets.weights import WeightsDataset
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash, write_checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint, weights_of
from tad_blockdrop.detector.weights.convert import load_backbone
from tad_blockdrop.detector.weights.export import export_opentad
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.export_weights.pipeline import create_pipeline as export_pipeline
from tad_blockdrop.pipelines.import_weights.pipeline import create_pipeline as import_pipeline

DETECTOR = DetectorConfig(
    backbone=VideoMAEConfig(width=24, depth=3, heads=3, patch=8, clip_frames=8, pretrain_size=16),
    pyramid=AttentionNeckConfig(width=16, heads=2, levels=3),
    head=AnchorFreeConfig(ranges=((0, 4), (4, 8), (8, 10000))),
)
DATA = DataConfig(
    every=4, window=WindowConfig(frames=16, grid=16, crop=16, short_side=16), class_agnostic=False
)


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Two of three blocks, three classes."""
    torch.manual_seed(1)
    model = Detector(DETECTOR, 3, DATA.window, (0, 2))
    return Checkpoint(
        weights_of(model),
        DETECTOR,
        model.kept_blocks,
        ("run", "jump", "sit"),
        DATA.window,
        4,
        None,
        PostprocessConfig(),
    )


@pytest.fixture
def file(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "best.pth"
    torch.save({"state_dict_ema": export_opentad(checkpoint)}, path)
    return path


def run(pipeline: Pipeline, given: dict[str, Any]) -> dict[str, Any]:
    entries = {name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()}
    outputs = SequentialRunner().run(pipeline, DataCatalog(entries))
    return {name: dataset.load() for name, dataset in outputs.items()}


def imported(
    path: str | None, data: DataConfig = DATA, detector: DetectorConfig = DETECTOR
) -> tuple[Checkpoint, pd.DataFrame]:
    given = {
        "params:import_weights": ImportWeightsConfig(path=path),
        "params:data": data,
        "params:detector": detector,
        "params:evaluation": EvaluationConfig(),
        "params:runtime": RuntimeConfig(),
    }
    outputs = run(import_pipeline(), given)
    return outputs["imported_checkpoint"], outputs["import_report"]


def test_a_detector_file_becomes_a_baseline_checkpoint(
    file: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("run\njump\n\nsit\n")
    found, report = imported(str(file), DATA.model_copy(update={"classes_file": str(names)}))
    assert weights_hash(found.weights) == weights_hash(checkpoint.weights)
    assert found.kept_blocks == (0, 2)
    assert found.classes == checkpoint.classes
    assert (found.detector, found.window, found.every) == (DETECTOR, DATA.window, 4)
    assert found.metrics["gmacs"] > 0
    assert found.lineage["family"] == "uncompressed"
    assert found.lineage["step"] == 0
    assert found.lineage["imported"]["file"] == "best.pth"
    assert set(report["status"]) == {"matched", "reshaped", "unused"}
    assert set(report.loc[report["status"] != "unused", "tensor"]) == set(found.weights)
    from_checkpoint(found)


def test_names_of_classes_that_no_one_gives(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found, _ = imported(str(file))
    assert found.classes == ("class_00", "class_01", "class_02")
    assert "Set data.classes_file" in caplog.text


def test_a_backbone_file_becomes_a_start_for_training(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    theirs: dict[str, Tensor] = {
        name.removeprefix("backbone.model."): value
        for name, value in export_opentad(checkpoint).items()
        if name.startswith("backbone.model.")
    }
    whole = {name.replace("blocks.2.", "blocks.1."): value for name, value in theirs.items()}
    torch.save({"state_dict": whole}, tmp_path / "videomae.pth")
    found, report = imported(str(tmp_path / "videomae.pth"))
    assert found.kept_blocks == (0, 1)
    assert all(name.startswith("backbone.") for name in found.weights)
    assert found.classes == ()
    assert "unexpected" not in set(report["status"])
    two = DETECTOR.backbone.model_copy(update={"depth": 2})
    assert found.detector.backbone == two
    write_checkpoint(found, tmp_path / "c")
    model = Detector(DETECTOR.model_copy(update={"backbone": two}), 3, DATA.window)
    load_backbone(model.backbone, tmp_path / "c")
    mine = model.backbone.state_dict()
    assert all(torch.equal(mine[k.removeprefix("backbone.")], v) for k, v in found.weights.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None}, r"no weights file is given: add --params import_weights\.path"),
        ({"classes_file": "nowhere.txt"}, "data.classes_file: nowhere.txt cannot be read"),
        ({"frames": 20, "grid": 20}, r"does not fit data\.window: .*--env"),
        ({"grid": 2}, r"does not fit data\.window: window\.grid \(2\) must be a multiple of 4"),
        ({"class_agnostic": True}, r"detects 3 classes, but 1 names are given \(action\)"),
    ],
)
def test_refusals(file: Path, changes: dict[str, Any], message: str) -> None:
    own = {k: v for k, v in changes.items() if k in ("classes_file", "class_agnostic")}
    window = {k: v for k, v in changes.items() if k in ("frames", "grid")}
    data = DATA.model_copy(update=own | {"window": DATA.window.model_copy(update=window)})
    with pytest.raises(BlockDropError, match=message):
        imported(changes.get("path", str(file)), data)


def test_export_writes_files_for_other_programs(checkpoint: Checkpoint, tmp_path: Path) -> None:
    outputs = run(export_pipeline(), {"final_checkpoint": checkpoint})
    weights = WeightsDataset(filepath=str(tmp_path / "weights"), version=Version("one", "one"))
    weights.save(outputs["public_weights"])
    written = tmp_path / "weights/one/weights"
    assert sorted(str(p.relative_to(written)) for p in written.rglob("*") if p.is_file()) == [
        "SHA256SUMS", "opentad.pth", "transformers/config.json", "transformers/model.safetensors",
    ]  # fmt: skip
    found, _ = imported(str(written / "opentad.pth"))
    assert weights_hash(found.weights) == weights_hash(checkpoint.weights)
    assert set(weights.load().opentad) == {"epoch", "state_dict", "state_dict_ema"}
    assert weights.load().config["num_hidden_layers"] == 2
    backbone, _ = imported(str(written / "transformers"))
    assert backbone.kept_blocks == (0, 1)
    assert len(load_file(written / "transformers/model.safetensors")) == 2 + 2 * 15
    (written / "transformers/config.json").write_text("{}")
    damage = r"config\.json is not what was written"
    with pytest.raises(DatasetError, match=damage):
        weights.load()
    for part in ("opentad.pth", "transformers", "transformers/model.safetensors"):
        with pytest.raises(DamagedError, match=damage):
            imported(str(written / part))
    (written / "transformers/config.json").unlink()
    with pytest.raises(BlockDropError, match=r"weights lacks .*config\.json: copy it again"):
        imported(str(written / "transformers"))
    (written / "SHA256SUMS").write_text("0123  of another program\n")
    imported(str(written / "opentad.pth"))


def test_a_detector_that_opentad_cannot_hold_is_still_written_for_transformers(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    neck = MaxNeckConfig(width=16, levels=3)
    detector = DETECTOR.model_copy(update={"pyramid": neck})
    model = Detector(detector, 3, DATA.window, (0, 2))
    pooling = replace(checkpoint, detector=detector, weights=weights_of(model))
    with caplog.at_level(logging.WARNING):
        outputs = run(export_pipeline(), {"final_checkpoint": pooling})
    assert "no opentad.pth: OpenTAD's layout holds a neck of kind 'attention'" in caplog.text
    weights = WeightsDataset(filepath=str(tmp_path / "weights"), version=Version("one", "one"))
    weights.save(outputs["public_weights"])
    assert not (tmp_path / "weights/one/weights/opentad.pth").exists()
    assert weights.load().opentad is None
    backbone, _ = imported(str(tmp_path / "weights/one/weights/transformers"))
    assert backbone.kept_blocks == (0, 1)


def test_a_checkpoint_of_ours_needs_no_import(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own word counts, not that of the environment; what stays out of it is reported."""
    write_checkpoint(checkpoint, tmp_path / "c")
    heads = DETECTOR.backbone.model_copy(update={"heads": 2, "pretrain_size": 32})
    with caplog.at_level(logging.INFO):
        found, report = imported(
            str(tmp_path / "c"), detector=DETECTOR.model_copy(update={"backbone": heads})
        )
    assert "needs no import: begin with all of it (baseline.source: checkpoint" in caplog.text
    assert "holds the backbone alone: set baseline.backbone_weights" in caplog.text
    assert found.detector.backbone == DETECTOR.backbone
    assert len(report) == len(checkpoint.weights)
    unused = report.loc[report["status"] == "unused", "source"]
    assert {name.partition(".")[0] for name in unused} == {"pyramid", "head"}


def test_a_checkpoint_of_another_backbone_is_not_imported(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    timm = {"backbone": {"kind": "timm", "model": "test_vit"}}
    config = DetectorConfig.model_validate(DETECTOR.model_dump() | timm)
    model = Detector(config, 3, DATA.window)
    write_checkpoint(
        replace(
            checkpoint, detector=config, weights=weights_of(model), kept_blocks=model.kept_blocks
        ),
        tmp_path / "c",
    )
    with pytest.raises(BlockDropError, match=r"needs no import.*'timm' are not imported"):
        imported(str(tmp_path / "c"))


def test_a_folder_of_transformers_says_its_own_sizes(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Whatever the environment has."""
    weights = WeightsDataset(filepath=str(tmp_path / "weights"), version=Version("one", "one"))
    weights.save(run(export_pipeline(), {"final_checkpoint": checkpoint})["public_weights"])
    found, _ = imported(
        str(tmp_path / "weights/one/weights/transformers"), detector=DetectorConfig()
    )
    mine = DETECTOR.backbone.model_copy(update={"depth": 2})
    assert found.detector.backbone == mine


def test_export_warns_of_a_learning_aid(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    aided = DETECTOR.backbone.model_copy(update={"remove_clip_mean": True})
    detector = DETECTOR.model_copy(update={"backbone": aided})
    with caplog.at_level(logging.WARNING):
        run(export_pipeline(), {"final_checkpoint": replace(checkpoint, detector=detector)})
    assert "remove_clip_mean" in caplog.text
    assert "pixels only" not in caplog.text


def test_export_warns_of_a_crop_that_transformers_does_not_take(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    larger = DETECTOR.backbone.model_copy(update={"pretrain_size": 32})
    detector = DETECTOR.model_copy(update={"backbone": larger})
    with caplog.at_level(logging.WARNING):
        run(export_pipeline(), {"final_checkpoint": replace(checkpoint, detector=detector)})
    assert "takes frames of 32 pixels only" in caplog.text
    assert "trained on 16 (data.window.crop)" in caplog.text


def test_the_import_of_a_detector_warns_of_a_learning_aid(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing in the file says so; only this program makes such detectors."""
    aided = DETECTOR.backbone.model_copy(update={"remove_clip_mean": True})
    with caplog.at_level(logging.WARNING):
        imported(str(file))
        assert "remove_clip_mean" not in caplog.text
        found, _ = imported(str(file), detector=DETECTOR.model_copy(update={"backbone": aided}))
    assert found.detector.backbone == aided
    assert "remove_clip_mean is taken to be true" in caplog.text
