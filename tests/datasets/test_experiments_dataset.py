"""Records of experiments as one catalog entry."""

import json
from pathlib import Path

import pytest
from kedro.io import DatasetError

from tad_blockdrop.datasets.experiments import ExperimentsDataset


def test_records_are_found_by_name_and_never_written(tmp_path: Path) -> None:
    models = tmp_path / "06_models"
    experiments = ExperimentsDataset(filepath=str(models))
    assert not experiments.exists()
    assert experiments.load() == {}
    for name in ("b.1", "a"):
        (models / name).mkdir(parents=True)
        record = {"begun": f"when {name} began", "parameters": {"x.y": name}}
        (models / name / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    (models / "begun by hand").mkdir()
    assert experiments.exists()
    assert list(experiments.load()) == ["a", "b.1"]
    assert experiments.load()["b.1"]["parameters"] == {"x.y": "b.1"}
    shown = experiments.preview()
    assert shown["data"] == [["a", "when a began"], ["b.1", "when b.1 began"]]
    with pytest.raises(DatasetError, match="written by their runs"):
        experiments.save({})
