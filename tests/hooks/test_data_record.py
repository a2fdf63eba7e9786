"""An experiment goes on with what its videos were when it was begun."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tad_blockdrop.hooks.data_record import FACTS, DataRecord
from tad_blockdrop.hooks.experiment import Experiment
from tad_blockdrop.storage.experiment_record import ExperimentError

KNOWN = pd.DataFrame({"video_id": ["a", "b"], "n_frames": [50, 50], "fps": [50.0, 25.0]})
NOW = KNOWN.assign(start=0.0, duration=2.0)


def hook(project: Path) -> Any:
    record: Any = DataRecord()
    record._running = Experiment(project, {"experiment": "mine"})
    record._catalog = SimpleNamespace(exists=lambda name: name == FACTS, load=lambda name: KNOWN)
    return record


def test_facts_that_this_version_reads_otherwise_stop_a_run_before_frames_are_changed(
    tmp_path: Path,
) -> None:
    record, other = hook(tmp_path), NOW.assign(fps=[25.0, 25.0])
    record.before_dataset_saved(FACTS, other)  # nothing was made from them yet
    (tmp_path / "data/06_models/mine/baseline_checkpoint").mkdir(parents=True)
    record.before_dataset_saved(FACTS, NOW)
    with pytest.raises(ExperimentError, match=r"a: fps: 50\.0 -> 25\.0, as this version reads"):
        record.before_dataset_saved(FACTS, other)
