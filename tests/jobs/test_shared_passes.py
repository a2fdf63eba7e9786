"""Passes over videos give the same bits, whoever works on which video."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.jobs.conftest import with_devices
from training_small import DETECTOR

from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detections.classifier import VideoClasses
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.jobs.evaluation import SharedEvaluator
from tad_blockdrop.jobs.scoring import score_blocks
from tad_blockdrop.jobs.sharing import as_checkpoint
from tad_blockdrop.video.windows.loading import TestWindows


def shared(evaluator: Evaluator, devices: int) -> SharedEvaluator:
    """The same, with its passes shared."""
    e = with_devices(evaluator, devices)
    return SharedEvaluator(e.dataset, e.data, e.evaluation, e.runtime)


def test_every_window_is_owned_once_and_batches_are_those_of_one_process(
    evaluator: Evaluator,
) -> None:
    videos, batch = evaluator.dataset.records("train"), 3
    for world in (1, 2, 3, 5, 9):
        owned: list[int] = []
        for rank in range(world):
            windows = TestWindows(videos, evaluator.data, 0.5)
            windows.take_share(rank, world)
            names = {windows.items[i][0].video_id for i in windows.own}
            assert all((w[0].video_id in names) == (i in windows.own) for i, w in
                       enumerate(windows.items))  # fmt: skip
            reads = windows.reads(batch)
            assert set(windows.own) <= set(reads)
            assert len(reads) < len(windows.own) + 2 * batch
            assert reads.start % batch == 0
            assert reads.stop % batch == 0 or reads.stop in (0, len(windows))
            owned += windows.own
        assert owned == list(range(len(windows)))


@pytest.mark.parametrize(
    "choice",
    [
        {"criterion": "train_map", "look_ahead": 2},
        {"criterion": "train_loss"},
        {"criterion": "cosine", "unit": "sublayer"},
        {"criterion": "repaired_map", "repair": {"layers": "all", "clips": 12}},
        {"criterion": "gap_error", "unit": "sublayer", "repair": "all"},
    ],
    ids=lambda choice: choice["criterion"],
)
def test_a_ranking_by_several_processes_has_the_same_bits(
    evaluator: Evaluator, model: Detector, tmp_path: Path, choice: dict[str, Any]
) -> None:
    compress = CompressConfig.model_validate({"n_drops": 1, **choice})
    student = as_checkpoint(model, evaluator)
    alone, *others = (
        score_blocks(student, student, with_devices(evaluator, n), compress, tmp_path / str(n))
        for n in (1, 2, 3)
    )
    assert alone["value"].nunique() > 1
    for table in others:
        pd.testing.assert_frame_equal(table, alone, check_exact=True)


def test_detections_by_several_processes_have_the_same_bits(
    evaluator: Evaluator, model: Detector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = evaluator.dataset.records("train")
    alone = evaluator.detect(model, videos, "detecting")
    assert set(alone["video_id"]) == {"a", "b", "c", "d", "e"}
    for devices in (2, 3):
        table = shared(evaluator, devices).detect(model, videos, "detecting", tmp_path)
        pd.testing.assert_frame_equal(table, alone, check_exact=True)
    caplog.set_level("INFO")
    found = shared(evaluator, 4).detect(model, videos[:2], "detecting", tmp_path)
    assert "2 of 4 devices are used: there are only 2 videos" in caplog.text
    assert set(found["video_id"]) == {"a", "b"}


def test_names_that_a_classifier_gives_are_those_of_one_process(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    instances = evaluator.dataset.instances.assign(label="action")
    dataset = replace(evaluator.dataset, classes=("action",), instances=instances)
    agnostic = replace(evaluator, dataset=dataset)
    videos = agnostic.dataset.records("test") + agnostic.dataset.records("holdout")
    named = VideoClasses(("run", "jump"), np.array([[0.1, 1 / 3], [0.7, 0.2]]))
    torch.manual_seed(5)  # with which a share of a batch once had other last bits than the batch
    model = Detector(DETECTOR, 1, agnostic.data.window).eval()
    alone = agnostic.detect(model, videos, "detecting", named=named)
    assert set(alone["label"]) == {"run", "jump"}
    two = shared(agnostic, 2).detect(model, videos, "detecting", tmp_path, named)
    pd.testing.assert_frame_equal(two, alone, check_exact=True)
