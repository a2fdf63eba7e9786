"""How a training goes is said by its run, not by the model it begins with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from training_small import DETECTOR, RUNTIME, WINDOW, detector, train_config

from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.config import (
    BaselineConfig,
    CompressConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    LearnConfig,
)
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.jobs import training
from tad_blockdrop.jobs.sharing import as_checkpoint
from tad_blockdrop.pipelines.compress.nodes import align
from tad_blockdrop.pipelines.learn.nodes import learn_again
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset

EVALUATOR = Evaluator(
    ActionDataset(pd.DataFrame({"video_id": []}), pd.DataFrame(), ("a", "b", "c")),
    DataConfig(every=1, window=WINDOW),
    EvaluationConfig(),
    Runtime(RUNTIME),
)


def saving(on: bool) -> DetectorConfig:
    backbone = DETECTOR.backbone.model_copy(update={"checkpointing": on})
    head = DETECTOR.head.model_copy(update={"label_smoothing": 0.1 * on})
    return DETECTOR.model_copy(update={"backbone": backbone, "head": head})


@pytest.fixture
def whole() -> Checkpoint:
    lineage = {"family": "uncompressed", "step": 0, "skipped": None, "dataset": "small"}
    return replace(as_checkpoint(detector(), EVALUATOR), lineage=lineage)


@pytest.mark.parametrize("on", [True, False])
def test_an_alignment_does_as_it_is_told(
    whole: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on: bool
) -> None:
    seen: list[DetectorConfig] = []

    def watch(shortened: Checkpoint, *_: Any) -> tuple[None, pd.DataFrame]:
        seen.append(shortened.detector)
        return None, pd.DataFrame()

    monkeypatch.setattr(training, "align", watch)
    made = replace(drop_block(whole, 1), detector=saving(not on), lineage=whole.lineage)
    compress = CompressConfig(n_drops=1, align="each")
    aligned, _ = align(made, whole, whole, EVALUATOR, tmp_path, compress, saving(on))
    assert seen == [saving(on)]
    assert aligned.source is made


class StopHereError(Exception):
    """What there is to see has been seen."""


@pytest.mark.parametrize("on", [True, False])
def test_learning_again_does_as_it_is_told(
    whole: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on: bool
) -> None:
    seen: list[DetectorConfig] = []

    def watch(model: Any, *_: Any) -> None:
        seen.append(model.config)
        raise StopHereError

    monkeypatch.setattr(training, "train_baseline", watch)
    made = replace(whole, detector=saving(not on))
    baseline = BaselineConfig(train=train_config())
    with pytest.raises(StopHereError):
        learn_again(made, EVALUATOR, tmp_path, LearnConfig(), baseline, saving(on))
    assert seen == [saving(on)]
