"""Which videos a trial is made on."""

from dataclasses import replace

import pandas as pd

from tad_blockdrop.begin.choose import FEW_ACTIONS
from tad_blockdrop.begin.trial import FEWEST, FEWEST_HELD, enough, part
from tad_blockdrop.video.action_dataset import ActionDataset

SPLITS = ["train"] * 40 + ["holdout"] * 20 + ["test"] * 20 + ["train"]
NAMES = [f"v{number:02}" for number in range(len(SPLITS))]
LENGTHS = [10.0 + number % 20 for number in range(len(SPLITS))]
VIDEOS = pd.DataFrame({"video_id": NAMES, "split": SPLITS, "duration": LENGTHS})
ACTIONS = pd.DataFrame({"video_id": NAMES[:-1], "label": "run", "start": 0.0, "end": 1.0})
DATASET = ActionDataset(VIDEOS, ACTIONS, ("run",))


def test_videos_are_drawn_long_ones_too_up_to_the_footage() -> None:
    found = part(DATASET, 560.0)
    train, held = found.in_split("train"), found.in_split("holdout")
    assert 400 - max(LENGTHS) < train["duration"].sum() <= 400
    assert 160 - max(LENGTHS) < held["duration"].sum() <= 160
    assert train["duration"].max() > 20
    assert set(found.videos["split"]) == {"train", "holdout"}
    assert part(DATASET, 560.0).videos.equals(found.videos)


def test_more_footage_adds_videos() -> None:
    few, many = (set(part(DATASET, seconds).videos["video_id"]) for seconds in (560.0, 800.0))
    assert few < many


def test_enough_is_what_shows_a_class_often_enough() -> None:
    least, less = (part(DATASET, share * enough(DATASET)) for share in (1.0, 0.9))
    assert len(least.in_split("train")) == FEW_ACTIONS  # one action each, of one class
    assert len(less.in_split("train")) < FEW_ACTIONS


def test_where_there_are_few_examples_enough_is_all() -> None:
    rare = replace(DATASET, classes=tuple("abcdefgh"))
    assert len(part(rare, enough(rare)).in_split("train")) == 40


def test_videos_without_actions_are_not_drawn() -> None:
    assert set(part(DATASET, 1e9).videos["video_id"]) == set(NAMES[:60])


def test_with_little_time_there_are_a_few_of_the_shortest() -> None:
    found = part(DATASET, 30.0)
    lengths = VIDEOS[VIDEOS["video_id"].isin(ACTIONS["video_id"])]
    for split, count in (("train", FEWEST), ("holdout", FEWEST_HELD)):
        chosen = found.in_split(split)["duration"]
        shortest = lengths.loc[lengths["split"] == split, "duration"].nsmallest(count)
        assert sorted(chosen) == sorted(shortest)
