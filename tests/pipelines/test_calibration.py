"""What a repair, a ranking and a limit look at is found to be enough before a model is trained."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
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
from tad_blockdrop.detector.checkpoint import write_checkpoint
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.jobs.repair import calibration_loader
from tad_blockdrop.jobs.sharing import as_checkpoint
from tad_blockdrop.pipelines.baseline.checks import BaselineError, check_videos
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


def test_a_limit_without_held_out_videos_stops_the_job_before_training(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    for key, limit in (
        (r"compress\.stop\.max_loss", {"stop": {"max_loss": 2.0}}),
        (r"compress\.target\.loss", {"target": {"loss": 2.0}}),
    ):
        compress = CompressConfig.model_validate(limit)
        with pytest.raises(BaselineError, match=f"{key} is judged on held-out training videos"):
            make_baseline(evaluator, tmp_path, DETECTOR, BaselineConfig(), compress)


def test_a_ranking_by_map_needs_an_action(evaluator: Evaluator, tmp_path: Path) -> None:
    shown = evaluator.dataset.instances.query("video_id == 'b'")
    second = replace(evaluator, dataset=replace(evaluator.dataset, instances=shown))
    compress = CompressConfig(score_videos=1)
    with pytest.raises(BaselineError, match="none of the first 1 training videos"):
        make_baseline(second, tmp_path, DETECTOR, BaselineConfig(), compress)
    check_videos(second, DETECTOR, CompressConfig(score_videos=2))
    check_videos(second, DETECTOR, CompressConfig(score_videos=1, criterion="train_loss"))


def test_a_given_checkpoint_is_rated_on_the_held_out_videos_of_this_experiment(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    split = evaluator.dataset.videos.assign(split=["train", "holdout"])
    held = replace(evaluator, dataset=replace(evaluator.dataset, videos=split))
    torch.manual_seed(0)
    model = Detector(DETECTOR, 1, WINDOW)
    given = replace(as_checkpoint(model, held), metrics={"holdout_average": 99.0, "gmacs": 1.0})
    write_checkpoint(given, tmp_path / "given")
    baseline = BaselineConfig(source="checkpoint", checkpoint=str(tmp_path / "given"))
    limited = CompressConfig.model_validate({"stop": {"max_loss": 2.0}})
    expected = held.rate_checkpoint(model)[0]["holdout_average"]
    for compress, average in ((limited, expected), (CompressConfig(), 99.0)):
        _, made = make_baseline(held, tmp_path, DETECTOR, baseline, compress)
        assert made.metrics == {"holdout_average": average, "gmacs": 1.0}
    assert expected != 99.0
