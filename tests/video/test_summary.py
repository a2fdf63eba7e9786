"""The summary counts what is there, suggests what would fit it, and tells what is not covered."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tad_blockdrop.config import AnchorFreeConfig, AttentionNeckConfig, DataConfig, DetectorConfig
from tad_blockdrop.detections.targets import assign
from tad_blockdrop.detector.heads.contract import make_points
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.summary import (
    covered_share,
    describe,
    suggest,
    summarise,
)

RANGES = ((0, 4), (4, 8), (8, 16), (16, 10000))


def detector(ranges: tuple[tuple[float, float], ...] = RANGES) -> DetectorConfig:
    return DetectorConfig(
        pyramid=AttentionNeckConfig(levels=len(ranges)), head=AnchorFreeConfig(ranges=ranges)
    )


def config(**window: Any) -> DataConfig:
    sizes = {"frames": 128, "grid": 64} | window
    return DataConfig.model_validate({"source": "files", "name": "mine", "fps": 8, "window": sizes})


def tables(lengths: list[float], seconds: float = 60.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One instance a video, of 8 samples a second; every fourth video is for testing."""
    ids = [f"v{i}" for i in range(len(lengths))]
    split = np.where(np.arange(len(ids)) % 4 == 3, "test", "train")
    facts = {"duration": seconds, "rate": 8.0, "n_samples": round(8 * seconds), "fps": 24.0}
    videos = pd.DataFrame({"video_id": ids, "split": split}).assign(**facts)
    labels = np.where(np.arange(len(ids)) % 2, "odd", "even")
    instances = pd.DataFrame({"video_id": ids, "label": labels, "category": labels})
    return videos, instances.assign(start=1.0, end=1.0 + np.array(lengths))


def summary(lengths: list[float], data: DataConfig | None = None, **videos: Any) -> dict[str, Any]:
    listed = {"train": 10, "test": 5}
    return summarise(*tables(lengths, **videos), listed, data or config(), detector())


def test_a_person_reads_it_in_a_few_lines() -> None:
    lines = describe(summary([2.0] * 8)).split("\n")
    assert lines[0] == "dataset 'mine', 8 of 15 videos"
    assert lines[1] == "  train: 6 videos, 6 actions; test: 2 videos, 2 actions"
    assert lines[2] == "  classes: even, odd"
    assert "2.0, 2.0, 2.0 s; 8.0, 8.0, 8.0 steps" in lines[3]
    assert len(lines) == 4  # nothing is suggested in the place of what fits
    [*_, last] = describe(summary([2.0] * 7 + [59.0])).split("\n")
    assert last.startswith("  suggested: windows of ")
    assert "a grid step of at most 0.5 s" in last


def test_counts() -> None:
    found = summary([2.0] * 8)
    assert found["name"] == "mine"
    assert found["listed"] == {"train": 10, "test": 5}
    assert found["used"] == {"train": 6, "holdout": 0, "test": 2}
    assert found["instances"] == {"train": 6, "holdout": 0, "test": 2}
    assert found["classes"] == {
        "even": {"train": 4, "holdout": 0, "test": 0},
        "odd": {"train": 2, "holdout": 0, "test": 2},
    }
    assert json.loads(json.dumps(found)) == found


def test_coverage_is_a_phrase() -> None:
    videos = pd.DataFrame({"video_id": ["a", "b", "c"], "listed": [10, 10, 5]})
    dataset = ActionDataset(videos, pd.DataFrame(), ())
    assert dataset.coverage(["a", "b"]) == "2 of 10 videos"
    assert dataset.coverage({"c"}) == "1 of 5 videos"


def test_lengths() -> None:
    found = summary([1.0, 2.0, 3.0, 4.0, 5.0], seconds=30)
    assert found["instance_seconds"]["0%"] == 1.0
    assert found["instance_seconds"]["50%"] == 3.0
    assert found["instance_seconds"]["100%"] == 5.0
    assert found["instance_grid_steps"]["100%"] == 20.0  # 8 samples a second, 2 a step
    assert found["video_seconds"] == dict.fromkeys(found["video_seconds"], 30.0)


def test_resized_videos_have_their_own_steps() -> None:
    found = summary([3.0, 6.0], config(kind="resize"), seconds=30)
    assert found["instance_grid_steps"]["100%"] == 64 * 6 / 30


def test_the_suggestion_fits_what_it_was_made_for() -> None:
    rng = np.random.default_rng(0)
    lengths = pd.Series(np.exp(rng.normal(1, 0.8, 500)))
    videos, _ = tables([1.0] * 4)
    data = config()
    found = suggest(videos, lengths, data, detector())
    steps = lengths / found["grid_step_seconds"]
    assert (steps >= 4).mean() > 0.94
    assert (lengths <= found["window_seconds"]).all()
    assert found["frames"] / 8 >= found["window_seconds"]
    assert found["every"] / 24 <= found["grid_step_seconds"]
    head = AnchorFreeConfig(ranges=tuple(map(tuple, found["ranges"])))
    assert len(head.ranges) == found["levels"]
    assert covered_share(steps.to_numpy(), head).min() > 0.5
    last_low = head.ranges[-1][0]
    assert 0 < (steps / 2 > last_low).mean() < 0.2  # the last level is used, and not by most
    assert found["frames"] % (data.window.frames_per_step * 2 ** (found["levels"] - 1)) == 0


def test_the_suggestion_for_a_well_known_dataset_is_close_to_what_is_used() -> None:
    """THUMOS14, where 768 samples, each 4th frame and 6 levels are used."""
    quantiles = np.interp(np.linspace(0, 1, 1000), [0, 0.05, 0.5, 0.95, 0.99, 1],
                          [0.2, 0.8, 3, 10.7, 17.3, 118])  # fmt: skip
    videos, _ = tables([1.0])
    videos = videos.assign(rate=7.5, fps=30.0)
    found = suggest(videos, pd.Series(quantiles), config(frames=768, grid=768), detector())
    assert 4 <= found["every"] <= 6
    assert 384 <= found["frames"] <= 768
    assert 5 <= found["levels"] <= 6


def test_nothing_can_be_suggested_from_nothing() -> None:
    found = summary([])
    assert found["suggested"] == {}
    assert found["warnings"] == []


def test_what_fits_is_not_warned_about() -> None:
    assert summary([1.0, 4.0, 12.0, 15.0])["warnings"] == []


def test_instances_longer_than_the_window_are_told() -> None:
    (warning,) = summary([2.0, 17.0, 20.0, 3.0])["warnings"]
    assert warning.startswith("2 of 4 instances are longer than a window (16.0 s)")


def test_instances_no_level_learns_are_told() -> None:
    (warning,) = summary([2.0, 0.05, 0.1])["warnings"]
    assert warning.startswith("2 of 3 instances (of 0.2 to 0.4 grid steps) are hardly learned")


def test_instances_left_out_of_training_are_told() -> None:
    (warning,) = summary([2.0, 0.5, 1.0, 0.5], config(min_instance_share=0.01))["warnings"]
    assert warning.startswith("1 training instances cover at most 0.01 of their video")


@pytest.mark.parametrize("length", [0.3, 1.0, 2.9, 8.0, 9.0, 31.0])
@pytest.mark.parametrize("ranges", [RANGES, ((0, 4), (6, 8), (8, 9), (12, 10000))])
def test_coverage_agrees_with_the_targets_of_training(
    length: float, ranges: tuple[tuple[float, float], ...]
) -> None:
    head = AnchorFreeConfig(ranges=ranges)
    points = make_points(128, ranges)
    centres = 40 + (torch.arange(160, dtype=torch.float64) + 0.5) / 160 * 8
    segments = torch.stack((centres - length / 2, centres + length / 2), dim=1)
    # As many classes as segments: equally long, they all own the points that they can own.
    targets = assign(points, segments, torch.arange(160), 160, head)
    (share,) = covered_share(np.array([length]), head)
    assert share == pytest.approx(float((targets.cls > 0).any(dim=0).double().mean()), abs=0.05)
