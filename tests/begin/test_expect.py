"""What is said of a job beforehand: time, and what the data cannot teach."""

from dataclasses import replace

import pandas as pd
import pytest
from test_choose import PEOPLE

from tad_blockdrop.begin import expect
from tad_blockdrop.begin.pace import Pace
from tad_blockdrop.config import DataConfig, DetectorConfig, HeadConfig, WindowConfig
from tad_blockdrop.config.detector import AnchorFreeConfig, AttentionNeckConfig
from tad_blockdrop.video.action_dataset import ActionDataset

PACE = Pace({"frames": 2.0, "shortening": 3.0}, 1e9, 0.1, 0.5)


@pytest.mark.parametrize(("minutes", "epochs"), [(15, 20), (5, 10), (1, 10), (500, 80)])
def test_epochs_fill_the_minutes_within_bounds(minutes: float, epochs: int) -> None:
    assert PACE.epochs_in(minutes, 10, 80) == epochs


def test_time_is_told_by_parts_and_too_much_of_it_as_such() -> None:
    [told] = expect.duration(PACE, 20, minutes=20, spent=2)
    assert "about 15 minutes (frames 2.0, shortening 3.0, 20 epochs of training 10.0)" in told
    assert "1.0 GB" in told
    _, more = expect.duration(PACE, 20, minutes=10, spent=2)
    assert more == "together that is more than 10 minutes: --minutes 17 would do"
    assert len(expect.duration(PACE, 20, minutes=16.9, spent=2)) == 1  # by rounding


def test_the_minutes_of_the_parts_add_up_to_what_is_told() -> None:
    pace = Pace({"frames": 0.14, "shortening": 2.04, "report": 1.24}, 1e9, 0.1, 3.04)
    [told] = expect.duration(pace, 1, minutes=60, spent=1)
    assert told.startswith(
        "the job will take about 6.3 minutes (frames 0.1, shortening 2.0, report 1.2, 1 epoch of "
        "training 3.0)"
    )
    assert "looking and trying took 1 minute" in told
    assert "minutes" not in told.split("trying took")[1]


def test_classes_with_too_few_examples_are_named() -> None:
    numbers = replace(PEOPLE, actions={"jump": 1, "run": 50})
    [told] = expect.hardly_learned(numbers)
    assert "jump (1)" in told
    assert "run" not in told
    assert expect.hardly_learned(PEOPLE) == []


def dataset(*actions: tuple[str, str, float, float]) -> ActionDataset:
    videos = pd.DataFrame(
        {"video_id": ["a", "b"], "split": ["train", "test"], "duration": 60.0, "rate": 10.0}
    )
    table = pd.DataFrame(list(actions), columns=["video_id", "label", "start", "end"])
    return ActionDataset(videos, table, ("jump", "run"))


def test_classes_that_one_part_lacks_are_named() -> None:
    learned, measured = expect.never_measured(dataset(("a", "run", 0, 5), ("b", "jump", 0, 5)))
    assert "no video to learn from shows jump" in learned
    assert "no video to measure on shows run" in measured


def test_actions_that_are_too_short_or_too_long_are_counted_by_class() -> None:
    window = WindowConfig(frames=128, grid=32, crop=32, short_side=32)
    data = DataConfig(fps=10, window=window)
    head: HeadConfig = AnchorFreeConfig(ranges=((0, 4), (4, 10000)))
    detector = DetectorConfig(pyramid=AttentionNeckConfig(levels=2), head=head)
    found = dataset(("a", "jump", 1, 1.1), ("a", "run", 0, 4), ("b", "run", 0, 20))
    short, long = expect.hardly_found(found, data, detector)
    assert "1 of 3 actions, of up to 0.1 s, are too short" in short
    assert "jump (1)" in short
    assert "1 of 3 actions are longer than a window" in long


def test_wide_pictures_lose_their_sides() -> None:
    [told] = expect.seen_share(replace(PEOPLE, aspect=16 / 9))
    assert "44%" in told
    assert expect.seen_share(replace(PEOPLE, aspect=1.1)) == []
