"""What a whole job will take, against sums done by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tad_blockdrop.config import Parameters
from tad_blockdrop.preflight.forecast import (
    Room,
    cached_videos,
    disk_needed,
    obstacles,
    repair_clips,
    repair_states,
)
from tad_blockdrop.preflight.stages import hours_of, predict
from tad_blockdrop.preflight.work import Measured, OneWindow, Work, count_work
from tad_blockdrop.video.windows.cutting import VideoRecord

BASE = Path(__file__).parents[2] / "conf" / "base" / "parameters.yml"


def merged(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    pairs = {
        key: merged(tree[key], value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return tree | pairs


def settings(**changes: dict[str, Any]) -> Parameters:
    """Base with 2 drops of 3 and 5 epochs after a baseline of 10, no control, no one-shot."""
    recipe = {"warmup": 0.1, "batch": 2}
    plain: dict[str, Any] = {
        "experiment": "x",
        "runtime": {"workers": 2},
        "baseline": {"source": "train", "train": recipe | {"epochs": 10, "stop": 10}},
        "compress": {
            "n_drops": 2,
            "score_videos": None,
            "align": "each",
            "first": recipe | {"epochs": 3, "stop": 3},
            "later": recipe | {"epochs": 5, "stop": 5},
        },
        "report": {"control": False, "one_shot": False},
        "data": {"window": {"frames": 16, "grid": 16, "overlap": 0.5, "per_video": 2}},
    }
    tree = merged(yaml.safe_load(BASE.read_text()), plain)
    return Parameters.model_validate(merged(tree, changes))


def record(name: str, n_samples: int, actions: int = 1) -> VideoRecord:
    segments = np.tile([[1.0, 2.0]], (actions, 1))
    return VideoRecord(
        name, f"{name}.mp4", n_samples, 1.0, float(n_samples), segments, np.zeros(actions, int)
    )


WORK = Work(
    training=100, scored=40, held_out=10, rated=10, tested=50, calibrating=20, featured=110,
    samples=10_000, kept=10_000,
    videos={
        "scored": 6, "held_out": 3, "rated": 3, "tested": 10, "calibrating": 5, "featured": 18,
    },
)  # fmt: skip


def predict_hours(work: Work, measured: OneWindow, given: Parameters) -> dict[str, float]:
    """By one device."""
    return hours_of(predict(work, measured, given))


def one(**changes: Any) -> OneWindow:
    measured: dict[str, Any] = {
        "proxies": 7200.0,
        "reading": 0.2,
        "training": Measured(8.0, 1e9),
        "batch": 2,
        "scoring": Measured(18.0, 1e9),
        "detection": Measured(1.0, 1e9),
        "repair": None,
        "read_out": None,
    }
    return OneWindow(**(measured | changes))


def test_work_is_counted() -> None:
    train = [record("a", 32), record("b", 8), record("c", 20, actions=0)]
    work = count_work(train, [record("h", 16)], [record("t", 40), record("u", 1)], settings())
    # windows of 16 samples every 8: 32 -> 3, 8 -> 1, 20 -> 2; 16 -> 1; 40 -> 4, 1 -> 1
    assert work == Work(
        training=4, scored=6, held_out=1, rated=1, tested=5, calibrating=6, featured=7,
        samples=117, kept=117,
        videos={
            "scored": 3, "held_out": 1, "rated": 1, "tested": 2, "calibrating": 3, "featured": 4,
        },
    )  # fmt: skip
    whole = {"kind": "resize", "frames": 16}
    resized = count_work(train, [], [record("t", 40)], settings(data={"window": whole}))
    assert (resized.samples, resized.kept) == (100, 16 + 8 + 16 + 16)
    no_holdout = count_work(train, [], [record("t", 40)], settings(compress={"score_videos": 1}))
    assert (no_holdout.scored, no_holdout.held_out, no_holdout.rated) == (3, 0, 6)
    for repair, windows in (({"videos": 1}, 3), ({"windows": 2}, 2), ({"windows": None}, 6)):
        assert (
            count_work(train, [], [], settings(compress={"repair": repair})).calibrating == windows
        )


def test_hours() -> None:
    hours = predict_hours(WORK, one(), settings())
    seconds = {
        "proxies": 7200 / 2,
        "baseline": 10 * 100 * (8 / 2 - 1),
        "ranking": 2 * 40 * 18,
        "alignment": (3 + 5) * 100 * 8 / 2,
        # the baseline's epochs 1, 4, 7 and 10 on the held-out windows, no epoch of an alignment,
        # then 3 models on those and on the test windows
        "evaluation": 10 * 4 + 10 * 3 + 50 * 3,
    }
    expected = {stage: value / 3600 for stage, value in seconds.items()}
    assert hours == pytest.approx(expected | {"total": sum(expected.values())})


def test_slow_reading_holds_the_model_up() -> None:
    hours = predict_hours(WORK, one(reading=20.0), settings())
    assert hours["alignment"] == pytest.approx(8 * 100 * 20 / 2 / 3600)
    assert hours["ranking"] == pytest.approx(2 * 40 * 18 / 3600)


def test_what_the_report_adds_is_counted() -> None:
    plain = predict_hours(WORK, one(), settings())
    control = predict_hours(WORK, one(), settings(report={"control": True}))
    one_shot = predict_hours(WORK, one(), settings(report={"one_shot": True}))
    assert control["alignment"] == pytest.approx(2 * plain["alignment"])
    assert one_shot["evaluation"] - plain["evaluation"] == pytest.approx(2 * 50 / 3600)


def test_a_frozen_backbone_is_rated_on_the_features_it_has_left() -> None:
    plain = predict_hours(WORK, one(), settings())["evaluation"]
    aids = {"dct_patch_init": False, "xavier_init": False, "dense_loss": 0.0}
    frozen = settings(baseline={"train": {"tuning": "frozen"}, "aids": aids})
    found = predict_hours(WORK, one(read_out=Measured(0.5, 1e9)), frozen)["evaluation"]
    assert plain - found == pytest.approx(10 * 4 / 3600)


def test_a_given_baseline_is_not_trained() -> None:
    given = settings(baseline={"source": "checkpoint", "checkpoint": "somewhere"})
    assert predict_hours(WORK, one(), given)["baseline"] == 0


@pytest.mark.parametrize(
    ("criterion", "ranking"),
    [
        ("block_mse", 40 * 18),
        ("gap_error", 40 * 0.1 + 7 * 3),
        ("repaired_features", 40 * 0.1 + 8 * 7 * 3),
        ("repaired_map", 40 * (0.1 + 8 * 1) + 8 * 7 * 3),
    ],
)
def test_repairs_are_counted(criterion: str, ranking: float) -> None:
    """8 blocks: a repair refits at most 7, a criterion that repairs each candidate 8 times 7."""
    repaired = settings(compress={"criterion": criterion, "repair": "all", "align": None})
    scoring = Measured(18.0, 1e9) if criterion == "block_mse" else None
    hours = predict_hours(WORK, one(scoring=scoring, repair=Measured(3.0, 1e9)), repaired)
    neck_and_head = 20 * 2  # windows in both models
    assert hours["repair"] == pytest.approx(2 * (20 * 0.1 + 7 * 3 + neck_and_head) / 3600)
    assert hours["ranking"] == pytest.approx(2 * ranking / 3600)
    assert hours["alignment"] == 0


def test_a_repair_keeps_its_clips_and_states_of_them_in_main_memory() -> None:
    """Clips of 16 frames of 32 pixels; 32 tokens of width 64."""
    found = settings(data={"window": {"frames": 64}}, compress={"repair": {"clips": 50}})
    assert repair_clips(WORK, found) == 50
    assert repair_clips(replace(WORK, calibrating=10), found) == 10 * 4
    state, pixels = 4 * 32 * 64, 16 * 32 * 32 * 3
    assert repair_states(50, found) == 50 * (4 * state + pixels)
    alone = settings(data={"window": {"frames": 64}}, compress={"repair": {"donors": 0}})
    assert repair_states(50, alone) == 50 * (3 * state + pixels)
    (told,) = obstacles(Room(5e9, 10e9), Room(1e9, 2e9), Room(11e9, 10e9), Room(0, 10e9))
    assert told.startswith("main memory: a repair needs 11.0 GB of 10.0 GB: lower compress.repair")


@pytest.mark.parametrize(("workers", "copies"), [(0, 3), (2, 6)])
def test_each_process_that_reads_keeps_the_decoded_videos(workers: int, copies: int) -> None:
    found = settings(data={"cache": True}, runtime={"workers": workers})
    assert cached_videos(10.0, found, devices=3) == 10 * copies
    assert cached_videos(10.0, settings(data={"cache": False}), devices=3) == 0


def test_disk_holds_proxies_checkpoints_and_a_run_under_way() -> None:
    assert disk_needed(1000.0, 10.0, settings()) == 1000 + 10 * (2 + 2 + 4)


def test_obstacles() -> None:
    fits = Room(5e9, 10e9)
    assert obstacles(fits, fits, fits, fits) == []
    (memory,) = obstacles(Room(11e9, 10e9), fits, fits, fits)
    assert memory.startswith("memory: the job needs 11.0 GB of 10.0 GB: set detector.backbone")
    (disk,) = obstacles(fits, Room(1.9e9, 2e9), fits, fits)
    assert disk.startswith("disk: proxies and checkpoints need 1.9 GB, 2.0 GB are free")
    (cache,) = obstacles(fits, fits, fits, Room(11e9, 10e9))
    assert cache.startswith("main memory: with decoded videos")
    assert cache.endswith("the job needs 11.0 GB of 10.0 GB: set data.cache to false")
    assert obstacles(Room(5e9, float("nan")), fits, fits, fits) == []
