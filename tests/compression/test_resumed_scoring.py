"""A ranking that was cut goes on, and ends with the same bits as one that was left alone."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import limited_files

from tad_blockdrop.compression.criteria.repaired import RepairedFeatures
from tad_blockdrop.compression.ranking import score_blocks
from tad_blockdrop.config import CompressConfig, DataConfig, EvaluationConfig, WindowConfig
from tad_blockdrop.detections.pooling import detect
from tad_blockdrop.detections.task import DetectionTask
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.storage import resumable_pass as resuming
from tad_blockdrop.storage.resumable_pass import PassError, Scratch, scratch_for
from tad_blockdrop.video.windows.batches import LoadedWindow
from tad_blockdrop.video.windows.cutting import VideoRecord, grid_mask
from tad_blockdrop.video.windows.loading import TestWindows, make_loader

MakeDetector = Callable[..., Detector]

CLASSES = ("jump", "run", "throw")
EVALUATION = EvaluationConfig(score_tious=(0.1, 0.3))
WINDOW = WindowConfig(frames=32, grid=16, crop=16, short_side=16)  # make_detector's
DATA = DataConfig(window=WINDOW, every=1)
ACTIONS = np.array([[0.5, 1.5], [2.0, 3.5]])
RECORDS = [
    VideoRecord(name, "", samples, 8.0, samples / 8, ACTIONS, np.array([0, 2]))
    for name, samples in (("a", 60), ("b", 32), ("c", 75))
]


class CutError(Exception):
    """What stops a pass in these tests."""


class NoiseWindows(TestWindows):
    """Windows of noise, a function of the index; the one with index ``cut`` stops the pass."""

    def __init__(self, cut: int | None = None) -> None:
        super().__init__(RECORDS, DATA, overlap=0.5)
        self.cut, self.read = cut, 0

    def __getitem__(self, index: int) -> LoadedWindow:
        if index == self.cut:
            raise CutError
        self.read += 1
        window = self.items[index][1]
        frames = np.random.default_rng(index).integers(0, 256, (32, 16, 16, 3), dtype=np.uint8)
        mask = torch.from_numpy(grid_mask(window.n_valid, WINDOW))
        return LoadedWindow(window, torch.from_numpy(frames), mask)


@pytest.fixture(autouse=True)
def _save_after_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "SECONDS_BETWEEN_SAVES", 0.0)


def score(
    model: Detector, compress: CompressConfig, folder: Path | None, cut: int | None = None
) -> tuple[pd.DataFrame, int]:
    """The ranking, two windows at a time, and how many windows were read."""
    windows = NoiseWindows(cut)
    place = scratch_for(folder, model, compress.model_dump(mode="json"))
    task = DetectionTask(model.config.head, WINDOW, RECORDS, CLASSES, EVALUATION)
    table = score_blocks(model, make_loader(windows, 2, 0), task, compress, place)
    return table, windows.read


@pytest.mark.parametrize(
    "choice",
    [
        {"criterion": "train_map"},
        {"criterion": "train_map", "look_ahead": 2},
        {"criterion": "train_loss"},
        {"criterion": "block_mse"},
        {"criterion": "cosine", "target": {"share": 0.5}},
    ],
)
@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_ranking_goes_on_with_the_videos_it_lacks(
    tmp_path: Path, make_detector: MakeDetector, choice: dict[str, Any], cut: int
) -> None:
    model, compress = make_detector(), CompressConfig.model_validate(choice)
    expected, every = score(model, compress, None)
    with pytest.raises(CutError):
        score(model, compress, tmp_path, cut)
    found, read = score(model, compress, tmp_path)
    assert read == every - cut // 2 * 2
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert expected["value"].nunique() > 2


def test_detections_go_on_too(tmp_path: Path, make_detector: MakeDetector) -> None:
    model = make_detector()

    def run(cut: int | None, scratch: Scratch | None) -> pd.DataFrame:
        loader = make_loader(NoiseWindows(cut), 2, 0)
        config = EVALUATION.postprocess
        return detect(model, loader, RECORDS, CLASSES, config, scratch=scratch)

    expected = run(None, None)
    place = scratch_for(tmp_path, model, {})
    for cut in (2, 5):
        with pytest.raises(CutError):
            run(cut, place)
    pd.testing.assert_frame_equal(run(None, place), expected, check_exact=True)
    assert len(expected) > 50


def test_a_candidate_that_is_not_finite_stays_out(
    tmp_path: Path, make_detector: MakeDetector
) -> None:
    model, compress = make_detector(), CompressConfig()
    torch.nn.init.constant_(model.backbone.blocks["3"].mlp.fc1.bias, math.nan)
    expected, _ = score(model, compress, None)
    with pytest.raises(CutError):
        score(model, compress, tmp_path, 5)
    pd.testing.assert_frame_equal(score(model, compress, tmp_path)[0], expected, check_exact=True)
    assert expected["value"].notna().sum() == 1


def test_finished_candidates_are_not_repaired_again(
    tmp_path: Path, make_detector: MakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_detector()
    compress = CompressConfig.model_validate({"criterion": "repaired_features", "repair": "all"})
    expected, _ = score(model, compress, None)
    rate, rated = RepairedFeatures.rate, []

    def rate_or_cut(self: RepairedFeatures, repaired: Detector, *rest: Any) -> float:
        if len(rated) == 2:
            rated.append(())
            raise CutError
        rated.append(repaired.kept_blocks)
        return rate(self, repaired, *rest)

    monkeypatch.setattr(RepairedFeatures, "rate", rate_or_cut)
    with pytest.raises(CutError):
        score(model, compress, tmp_path)
    found, _ = score(model, compress, tmp_path)
    assert len(set(rated)) == len(rated) == 6
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("change", ["weights", "settings", "damage"])
def test_the_state_of_another_ranking_is_not_used(
    tmp_path: Path, make_detector: MakeDetector, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, compress = make_detector(), CompressConfig()
    with pytest.raises(CutError):
        score(model, compress, tmp_path, 5)
    (state,) = tmp_path.iterdir()
    if change == "weights":
        model = make_detector(seed=1)
    elif change == "settings":
        compress = CompressConfig(criterion="train_loss")
    else:
        state.write_bytes(state.read_bytes()[:-9])
    with caplog.at_level(logging.INFO):
        _, read = score(model, compress, tmp_path)
    assert read == len(NoiseWindows())
    assert "scoring blocks starts anew" in caplog.text


def test_a_state_that_cannot_be_written_is_told(
    tmp_path: Path, make_detector: MakeDetector
) -> None:
    with (
        limited_files(100),
        pytest.raises(PassError, match="free some space"),
    ):
        score(make_detector(), CompressConfig(), tmp_path)
    assert not list(tmp_path.iterdir())
