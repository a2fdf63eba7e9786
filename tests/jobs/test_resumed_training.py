"""A training that was cut goes on with the settings that it was begun with, and no others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from training_small import DETECTOR, same_bits, train_config, weights

from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.config import BaselineConfig, CompressConfig, DetectorConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.jobs import training as jobs
from tad_blockdrop.jobs.sharing import as_checkpoint
from tad_blockdrop.training.loop import TrainingRun

SHORT = train_config(epochs=2, stop=2, tuning="full")
Train = Callable[[Detector, Evaluator, Path], pd.DataFrame]


def learn(model: Detector, evaluator: Evaluator, scratch: Path) -> pd.DataFrame:
    return jobs.train_baseline(model, BaselineConfig(train=SHORT), evaluator, scratch, "baseline")


def align(model: Detector, evaluator: Evaluator, scratch: Path) -> pd.DataFrame:
    """What ``model`` learns without its second block; its weights become those of the result."""
    whole = as_checkpoint(model, evaluator)
    compress = CompressConfig(n_drops=1, first=SHORT, later=SHORT)
    aligned, history = jobs.align(
        drop_block(whole, 1), whole, evaluator, compress, 1, "step_01", scratch
    )
    model.load_state_dict(aligned.state_dict(), strict=False)
    return history


def changed(detector: DetectorConfig, part: str, **values: Any) -> DetectorConfig:
    """With other values in backbone, pyramid or head."""
    other = getattr(detector, part).model_copy(update=values)
    return DetectorConfig.model_validate(detector.model_copy(update={part: other}).model_dump())


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that are trained, in order; the second one is cut the first time."""
    trained: list[int] = []
    epoch = TrainingRun.epoch

    def cut(self: TrainingRun, *arguments: Any) -> dict[str, float]:
        if trained == [0]:
            trained.append(-1)
            raise KeyboardInterrupt
        trained.append(self.state.epochs)
        return epoch(self, *arguments)

    monkeypatch.setattr(TrainingRun, "epoch", cut)
    return trained


def go_on(
    train: Train, epochs: list[int], scratch: Path,
    first: tuple[DetectorConfig, Evaluator], second: tuple[DetectorConfig, Evaluator],
) -> tuple[Detector, list[int]]:  # fmt: skip
    """Begin in one way and go on in another: the model, and the epochs that this took."""

    def model(detector: DetectorConfig, evaluator: Evaluator) -> Detector:
        torch.manual_seed(0)
        return Detector(detector, 2, evaluator.data.window)

    with pytest.raises(KeyboardInterrupt):
        train(model(*first), first[1], scratch)
    begun = len(epochs)
    found = model(*second)
    train(found, second[1], scratch)
    return found, epochs[begun:]


def with_settings(evaluator: Evaluator, part: str, **values: Any) -> Evaluator:
    return replace(evaluator, **{part: getattr(evaluator, part).model_copy(update=values)})


@pytest.mark.parametrize("train", [learn, align])
@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("head", {"focal_gamma": 0.5}),
        ("head", {"ranges": ((0.0, 2.0), (2.0, 100.0))}),
        ("pyramid", {"drop_path": 0.5}),
        ("backbone", {"remove_clip_mean": True}),
    ],
)
def test_a_detector_that_is_built_differently_is_trained_anew(
    evaluator: Evaluator, epochs: list[int], tmp_path: Path,
    train: Train, part: str, values: dict[str, Any],
) -> None:  # fmt: skip
    other = changed(DETECTOR, part, **values)
    _, trained = go_on(train, epochs, tmp_path, (DETECTOR, evaluator), (other, evaluator))
    assert trained == [0, 1]


@pytest.mark.parametrize("train", [learn, align])
def test_epochs_that_were_rated_differently_are_trained_anew(
    evaluator: Evaluator, epochs: list[int], tmp_path: Path, train: Train
) -> None:
    stricter = with_settings(evaluator, "evaluation", tious=(0.5,))
    _, trained = go_on(train, epochs, tmp_path, (DETECTOR, evaluator), (DETECTOR, stricter))
    assert trained == [0, 1]


@pytest.mark.parametrize("train", [learn, align])
def test_what_is_only_faster_loses_no_epoch_and_changes_no_bit(
    evaluator: Evaluator, epochs: list[int], tmp_path: Path, train: Train
) -> None:
    """In spite of what a backbone drops at random: it drops the same when it computes again."""
    random = changed(DETECTOR, "backbone", drop_path=0.5)
    saving = changed(random, "backbone", checkpointing=True, weights="elsewhere.pth")
    quick = with_settings(evaluator, "data", cache=True)
    quick = with_settings(quick, "evaluation", batch=1, latency_repeats=9)
    found, trained = go_on(train, epochs, tmp_path / "cut", (random, evaluator), (saving, quick))
    assert trained == [1]
    torch.manual_seed(0)
    whole = Detector(random, 2, evaluator.data.window)
    train(whole, evaluator, tmp_path / "whole")
    assert same_bits(weights(found), weights(whole))


def test_a_pass_goes_on_with_the_same_batches_of_the_same_model(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    def mark(detector: DetectorConfig = DETECTOR, given: Evaluator = evaluator) -> str:
        torch.manual_seed(0)
        model = Detector(detector, 2, given.data.window)
        scratch = given.scratch(tmp_path, model, given.dataset.records("train"))
        assert scratch is not None
        return scratch.mark

    same = [
        mark(changed(DETECTOR, "backbone", checkpointing=True)),
        mark(given=with_settings(evaluator, "data", cache=True)),
        mark(given=with_settings(evaluator, "evaluation", latency_repeats=9)),
    ]
    others = [
        mark(changed(DETECTOR, "backbone", remove_clip_mean=True)),
        mark(given=with_settings(evaluator, "evaluation", batch=1)),
    ]
    assert {*same} == {mark()}
    assert mark() not in others
