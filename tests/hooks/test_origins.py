"""What was made from two generations of one thing is never put together."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from tad_blockdrop.checksums import Seal, seal_of
from tad_blockdrop.datasets.dataset_tables import DatasetTables
from tad_blockdrop.datasets.tables import JSONFile
from tad_blockdrop.hooks.origins import Origins
from tad_blockdrop.storage.experiment_record import ExperimentError
from tad_blockdrop.video.action_dataset import ActionDataset

DATASET = ActionDataset(
    pd.DataFrame({"video_id": ["a"], "path": ["a.mp4"]}),
    pd.DataFrame(columns=["video_id", "label", "category", "start", "end"]),
    ("run", "jump"),
)


def count(dataset: ActionDataset) -> dict[str, int]:
    return {"videos": len(dataset.videos)}


def same(rates: dict[str, int]) -> dict[str, int]:
    return rates


def both(first: dict[str, int], second: dict[str, int]) -> list[Any]:
    return [first, second]


TRAIN = Node(count, "dataset", "model", name="train")
RATE = Node(count, "dataset", "rates", name="rate")
PASS_ON = Node(same, "rates", "in_memory", name="pass_on")
REPORT = Node(both, ["model", "in_memory"], "report", name="report")


def run(folder: Path, *nodes: Node) -> None:
    """The nodes, with what is on disk."""
    catalog = DataCatalog(
        {
            "dataset": DatasetTables(filepath=str(folder / "dataset")),
            "in_memory": MemoryDataset(),
            **{
                name: JSONFile(filepath=str(folder / f"{name}.json"))
                for name in ("model", "rates", "report")
            },
        }
    )
    run_in(catalog, *nodes)


def run_in(catalog: DataCatalog, *nodes: Node) -> None:
    """The nodes, with the hook."""
    hooks = _create_hook_manager()
    origins = Origins()
    hooks.register(origins)
    origins.after_catalog_created(catalog)
    SequentialRunner().run(Pipeline(nodes), catalog, hooks)


def test_results_know_their_dataset_and_are_used_with_no_other(tmp_path: Path) -> None:
    tables = DatasetTables(filepath=str(tmp_path / "dataset"))
    tables.save(DATASET)
    run(tmp_path, TRAIN, RATE, PASS_ON, REPORT)
    report = tmp_path / "report.json"
    assert Seal.read(seal_of(report)).origins == {"dataset": DATASET.identity}
    tables.save(ActionDataset(DATASET.videos, DATASET.instances, ("jump", "run")))
    run(tmp_path, PASS_ON, REPORT)
    run(tmp_path, RATE)
    with pytest.raises(ExperimentError, match="two different versions of dataset"):
        run(tmp_path, PASS_ON, REPORT)
    run(tmp_path, TRAIN)
    run(tmp_path, PASS_ON, REPORT)
    assert json.loads(report.read_text()) == [{"videos": 1}, {"videos": 1}]


def test_what_is_from_before_origins_is_used_as_it_is(tmp_path: Path) -> None:
    DatasetTables(filepath=str(tmp_path / "dataset")).save(DATASET)
    run(tmp_path, TRAIN, RATE)
    seal_of(tmp_path / "model.json").unlink()
    run(tmp_path, PASS_ON, REPORT)


def test_two_experiments_were_made_from_different_things(tmp_path: Path) -> None:
    """Each from its own dataset, which differ, and are yet put side by side."""
    names = {}
    for experiment, classes in (("one", ("run",)), ("two", ("jump",))):
        folder = tmp_path / experiment
        tables = DatasetTables(filepath=str(folder / "dataset"))
        tables.save(ActionDataset(DATASET.videos, DATASET.instances, classes))
        run(folder, RATE)
        names[f"{experiment}/rates"] = JSONFile(filepath=str(folder / "rates.json"))
    compared = JSONFile(filepath=str(tmp_path / "compared.json"))
    run_in(DataCatalog({**names, "compared": compared}), Node(both, [*names], "compared"))
    origins = Seal.read(seal_of(tmp_path / "compared.json")).origins
    assert sorted(origins) == ["one/dataset", "two/dataset"]
