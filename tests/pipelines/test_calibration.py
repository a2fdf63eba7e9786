"""What a repair, a ranking and a limit look at is found to be enough before a model is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

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
    DetectorConfig,
    EvaluationConfig,
    RepairConfig,
    deciding,
)
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint
from tad_blockdrop.jobs.repair import calibration_loader
from tad_blockdrop.jobs.sharing import as_checkpoint
from tad_blockdrop.pipelines.baseline.checks import BaselineError, check_videos
from tad_blockdrop.pipelines.baseline.nodes import make_baseline
from tad_blockdrop.pipelines.compress.nodes import AlignedModel, merge_lora
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


def with_split(evaluator: Evaluator, *split: str, **changes: Any) -> Evaluator:
    """The two videos in these splits; ``changes`` are of the dataset."""
    videos = evaluator.dataset.videos.assign(split=list(split))
    return replace(evaluator, dataset=replace(evaluator.dataset, videos=videos, **changes))


def test_test_videos_without_an_action_stop_the_job_before_training(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    shown = evaluator.dataset.instances.query("video_id == 'a'")
    silent = with_split(evaluator, "train", "test", instances=shown)
    with pytest.raises(BaselineError, match="none of the 1 test videos that could be read has an"):
        make_baseline(silent, tmp_path, DETECTOR, BaselineConfig(), CompressConfig())
    check_videos(with_split(evaluator, "train", "test"), DETECTOR, CompressConfig())
    check_videos(evaluator, DETECTOR, CompressConfig())  # as in a trial, without test videos


def test_held_out_videos_without_an_action_are_none(evaluator: Evaluator) -> None:
    shown = evaluator.dataset.instances.query("video_id == 'a'")
    silent = with_split(evaluator, "train", "holdout", instances=shown)
    assert silent.held_out_map() is None
    metrics, decisions = silent.rate_checkpoint(Detector(DETECTOR, 1, WINDOW))
    assert list(metrics) == ["gmacs"]
    assert decisions.split == "train"
    limited = CompressConfig.model_validate({"stop": {"max_loss": 2.0}})
    with pytest.raises(BaselineError, match="no action is held out"):
        check_videos(silent, DETECTOR, limited)


@pytest.fixture
def held(evaluator: Evaluator) -> Evaluator:
    """One of the videos is held out."""
    return with_split(evaluator, "train", "holdout")


@pytest.fixture
def given(held: Evaluator, tmp_path: Path) -> BaselineConfig:
    """A checkpoint that states what is not so."""
    torch.manual_seed(0)
    made = as_checkpoint(Detector(DETECTOR, 1, WINDOW), held)
    stated = replace(made, metrics={"holdout_average": 99.0, "gmacs": 1.0})
    write_checkpoint(stated, tmp_path / "given")
    return BaselineConfig(source="checkpoint", checkpoint=str(tmp_path / "given"))


def assert_rated_here(made: Checkpoint, evaluator: Evaluator) -> None:
    assert made.window == evaluator.data.window
    assert made.postprocess == evaluator.evaluation.postprocess
    assert (made.metrics, made.decisions) == evaluator.rate_checkpoint(from_checkpoint(made))
    assert made.metrics["holdout_average"] != 99.0


def test_a_given_checkpoint_is_rated_anew_where_there_is_a_limit(
    held: Evaluator, given: BaselineConfig, tmp_path: Path
) -> None:
    limited = CompressConfig.model_validate({"stop": {"max_loss": 2.0}})
    _, made = make_baseline(held, tmp_path, DETECTOR, given, limited)
    assert_rated_here(made, held)
    _, made = make_baseline(held, tmp_path, DETECTOR, given, CompressConfig())
    assert made.metrics == {"holdout_average": 99.0, "gmacs": 1.0}
    assert made.decisions is None


@pytest.mark.parametrize("other", ["overlap", "sigma"])
def test_models_made_from_a_given_checkpoint_are_used_as_they_were_rated(
    held: Evaluator, given: BaselineConfig, tmp_path: Path, other: str
) -> None:
    if other == "overlap":
        window = WINDOW.model_copy(update={"overlap": 0.0})
        here = replace(held, data=held.data.model_copy(update={"window": window}))
    else:
        evaluation = EvaluationConfig.model_validate({"postprocess": {"sigma": 0.1}})
        here = replace(held, evaluation=evaluation)
    compress = CompressConfig()
    _, made = make_baseline(here, tmp_path, DETECTOR, given, compress)
    assert_rated_here(made, here)
    shorter = AlignedModel(from_checkpoint(made), made)
    assert_rated_here(merge_lora(shorter, here, tmp_path, compress), here)


def test_a_given_checkpoint_is_trained_as_this_experiment_says(
    held: Evaluator, given: BaselineConfig, tmp_path: Path
) -> None:
    asked = {
        "backbone": {"width": 48, "drop_path": 0.3},
        "pyramid": {"drop_path": 0.4, "levels": 2},
        "head": {"label_smoothing": 0.2, "focal_gamma": 0.0, "ranges": [[0, 9], [9, 99]]},
    }
    detector = DetectorConfig.model_validate(asked)
    _, made = make_baseline(held, tmp_path, detector, given, CompressConfig())
    wanted = DETECTOR.model_dump()
    wanted["backbone"] |= {"drop_path": 0.3}
    wanted["pyramid"] |= {"drop_path": 0.4}
    # The rest that is not asked for has its default, which is not that of the checkpoint.
    wanted["head"] |= {"label_smoothing": 0.2, "focal_gamma": 0.0, "loss_normaliser": 100.0}
    assert made.detector.model_dump() == wanted
    facts = held.training_facts(from_checkpoint(made))["detector"]
    assert facts == deciding("detector", made.detector), "a state of other settings is not used"
    assert made.metrics["holdout_average"] == 99.0, "nothing that it is rated by has changed"
