"""What a repair looks at is found to be enough before a model is trained."""

from pathlib import Path

import pandas as pd
import pytest
from dataset_files import write_video
from training_small import DETECTOR, RUNTIME, WINDOW

from tad_blockdrop.compression.refitting import RepairError
from tad_blockdrop.config import (
    BaselineConfig,
    CompressConfig,
    DataConfig,
    EvaluationConfig,
    RepairConfig,
)
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.jobs.repair import calibration_loader
from tad_blockdrop.pipelines.baseline.nodes import make_baseline
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    """Two training videos of 16 and 40 samples: a window of 16 and four of them."""
    lengths = {"a": 16, "b": 40}
    videos = pd.DataFrame(
        [
            {
                "video_id": name, "split": "train", "n_samples": length, "rate": 10.0,
                "path": str(write_video(tmp_path / f"{name}.mp4", length / 10)),
                "duration": length / 10, "listed": 2,
            }
            for name, length in lengths.items()
        ]
    )  # fmt: skip
    instances = pd.DataFrame(
        [(name, "run", "run", 0.3, 0.9) for name in lengths],
        columns=["video_id", "label", "category", "start", "end"],
    )
    data = DataConfig(every=1, window=WINDOW, proxy=None)
    dataset = ActionDataset(videos, instances, ("run",))
    return Evaluator(dataset, data, EvaluationConfig(), Runtime(RUNTIME))


def test_a_repair_looks_at_some_windows_of_some_videos(evaluator: Evaluator) -> None:
    for repair, windows in (
        (RepairConfig(), 5),
        (RepairConfig(videos=1), 1),
        (RepairConfig(windows=3), 3),
    ):
        assert len(calibration_loader(evaluator, repair).dataset) == windows


def test_a_single_clip_stops_the_job_before_training(evaluator: Evaluator, tmp_path: Path) -> None:
    backbone = DETECTOR.backbone.model_copy(update={"clip_frames": 16})
    detector = DETECTOR.model_copy(update={"backbone": backbone})
    compress = CompressConfig(repair=RepairConfig(layers="all", videos=1))
    with pytest.raises(RepairError, match=r"two clips .* raise compress\.repair\.videos"):
        make_baseline(evaluator, tmp_path, detector, BaselineConfig(), compress)
