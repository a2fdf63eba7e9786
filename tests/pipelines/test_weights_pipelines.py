"""The import and export pipelines: a public file in, a checkpoint, public files out again."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, MemoryDataset
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
    PostprocessConfig,
    RuntimeConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.config.weights import ImportWeightsConfig
from tad_blockdrop.datasets.tables import JSONFile
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
    weights = WeightsDataset(filepath=str(tmp_path / "x/opentad.pth"))
    weights.save(outputs["opentad_weights"])
    found, _ = imported(str(tmp_path / "x/opentad.pth"))
    assert weights_hash(found.weights) == weights_hash(checkpoint.weights)
    assert set(weights.load()) == {"epoch", "state_dict", "state_dict_ema"}
    folder = tmp_path / "transformers"
    WeightsDataset(filepath=str(folder / "model.safetensors")).save(outputs["transformers_weights"])
    JSONFile(filepath=str(folder / "config.json")).save(outputs["transformers_config"])
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 2
    backbone, _ = imported(str(folder))
    assert backbone.kept_blocks == (0, 1)
    assert len(load_file(folder / "model.safetensors")) == 2 + 2 * 15
    assert {p.name.removesuffix(".sha256") for p in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    with (tmp_path / "x/opentad.pth").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DamagedError, match=r"opentad\.pth is not what was written"):
        imported(str(tmp_path / "x/opentad.pth"))


def test_export_warns_of_a_learning_aid(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    aided = DETECTOR.backbone.model_copy(update={"remove_clip_mean": True})
    detector = DETECTOR.model_copy(update={"backbone": aided})
    with caplog.at_level(logging.WARNING):
        run(export_pipeline(), {"final_checkpoint": replace(checkpoint, detector=detector)})
    assert "remove_clip_mean" in caplog.text
