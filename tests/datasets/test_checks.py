"""What is merely out of date is told apart from what was made from something that is not there."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from kedro.io import Version

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.datasets.checkpoint import CheckpointDataset
from tad_blockdrop.datasets.checks import check_experiment
from tad_blockdrop.datasets.tables import CSVTable
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.storage.experiment_files import maker_of

VERSIONS = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"


def model(value: float) -> Checkpoint:
    return Checkpoint(
        weights={"a": torch.full((2,), value)}, detector=DetectorConfig(), kept_blocks=(0,),
        classes=("run",), window=WindowConfig(), every=1, fps=None, postprocess=PostprocessConfig(),
    )  # fmt: skip


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An export's table of the first of two final models, before the second was learned."""
    for version, value in zip(VERSIONS, (1.0, 2.0), strict=True):
        folder = str(tmp_path / "06_models/mine/final_checkpoint")
        CheckpointDataset(filepath=folder, version=Version(None, version)).save(model(value))
    table = CSVTable(
        filepath=str(tmp_path / "08_reporting/mine/export_latency.csv"),
        version=Version(None, VERSIONS[0]),
    )
    table.origins = {"final_checkpoint": weights_hash(model(1.0).weights)}
    table.save(pd.DataFrame({"ms": [1.0]}))
    return tmp_path


def test_what_an_older_model_was_used_for_is_out_of_date(exported: Path) -> None:
    found = check_experiment(exported, "mine")
    assert (found.checked, found.faults) == (3, [])
    [said] = found.outdated
    assert "export_latency.csv is out of date, made from an older final_checkpoint" in said
    assert re.search(r"kedro run .*--pipeline export .*makes it anew$", said)


def test_what_was_made_from_nothing_that_is_there_is_a_fault(exported: Path) -> None:
    shutil.rmtree(exported / "06_models/mine/final_checkpoint" / VERSIONS[0])
    found = check_experiment(exported, "mine")
    assert found.outdated == []
    [said] = found.faults
    assert "was made from another final_checkpoint than the one that is there now" in said


@pytest.mark.parametrize(
    ("file", "maker"),
    [
        ("06_models/mine/export/model/now/model", "export"),
        ("06_models/mine/export/opentad.pth", "export_weights"),
        ("07_model_output/mine/predictions.csv/now/predictions.csv", "predict"),
        ("07_model_output/mine/baseline_metrics.parquet/now/baseline_metrics.parquet", "evaluate"),
        ("08_reporting/mine/learned_comparison.csv/now/learned_comparison.csv", "learn"),
        ("08_reporting/mine/report.html/now/report.html", "report"),
        ("06_models/mine/compress/step_01/checkpoint/now/checkpoint", "compress"),
        ("02_intermediate/mine/corrected_annotations.json/now/corrected_annotations.json",
         "compress"),
    ],
)  # fmt: skip
def test_the_pipeline_that_makes_a_file_is_known(file: str, maker: str) -> None:
    assert maker_of(Path("data") / file, Path("data"), "mine") == maker
