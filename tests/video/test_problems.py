"""Each thing that can be wrong with a dataset is found, said, and handled as it is said."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tad_blockdrop.video.problems import (
    COLUMNS,
    SAME_SECONDS,
    Problem,
    UnusableDatasetError,
    ground_truth_problems,
    instance_problems,
    problems_table,
    refuse_fatal,
    similar_labels,
    stated_problems,
    timing_problems,
)


def instances(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["video_id", "label", "start", "end"])


def shown(**durations: float) -> pd.DataFrame:
    """From second 0 on."""
    return pd.DataFrame({"start": 0.0, "duration": pd.Series(durations, dtype=float)})


def problem(**changes: object) -> Problem:
    values = {
        "video_id": "a",
        "file": "f",
        "key": "k",
        "kind": "bad",
        "message": "m",
        "advice": "d",
    }
    return Problem(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("segment", "kept", "kind", "message"),
    [
        ((2.0, 2.0), None, "empty segment", "[2, 2] 'x': it ends at or before its start"),
        ((3.0, 1.0), None, "empty segment", "[3, 1] 'x': it ends at or before its start"),
        ((10.0, 11.0), None, "segment outside the video", "the picture, from 0.00 to 10.00 s"),
        ((-2.0, -1.0), None, "segment outside the video", "it lies outside the picture"),
        ((8.0, 12.0), (8.0, 10.0), "segment outside the video", "it extends beyond the video"),
        ((-3.0, 4.0), (0.0, 4.0), "segment outside the video", "it extends beyond the video"),
    ],
)
def test_segments(
    segment: tuple[float, float], kept: tuple[float, float] | None, kind: str, message: str
) -> None:
    table = instances(("v", "x", 1, 5), ("v", "x", *segment))
    good, problems = instance_problems(table, shown(v=10.0), ["x"])
    assert [(p.kind, p.fatal, p.key) for p in problems] == [(kind, False, "annotations[1].segment")]
    assert message in problems[0].message
    expected = [(1.0, 5.0)] + ([kept] if kept else [])
    assert list(zip(good["start"], good["end"], strict=True)) == expected


def test_annotators_may_round_the_end() -> None:
    good, problems = instance_problems(instances(("v", "x", 1, 10.05)), shown(v=10.0), ["x"])
    assert problems == []
    assert good["end"].tolist() == [10.0]


def test_nothing_is_outside_a_video_that_cannot_be_read() -> None:
    good, problems = instance_problems(instances(("gone", "x", 1, 5000)), shown(), ["x"])
    assert problems == []
    assert len(good) == 1


def test_an_action_before_the_picture_is_outside() -> None:
    late = pd.DataFrame({"start": [3.0], "duration": [9.0]}, index=["v"])
    table = instances(("v", "x", 0.5, 2.5), ("v", "x", 2.5, 4))
    good, (problem,) = instance_problems(table, late, ["x"])
    assert good["start"].tolist() == [2.5]
    assert "it lies outside the picture, from 3.00 to 9.00 s" in problem.message


@pytest.mark.parametrize(
    ("start", "note", "kinds"),
    [
        (0.0, "", []),
        (0.016, "", []),
        (0.02, "", ["picture starts late"]),
        (1.5, "its header lies", ["picture starts late", "times in doubt"]),
    ],
)
def test_times_that_need_a_look_are_told(start: float, note: str, kinds: list[str]) -> None:
    table = pd.DataFrame(
        {"video_id": ["v"], "path": ["/v.mp4"], "fps": [30.0], "start": [start], "note": [note]}
    )
    found = timing_problems(table)
    assert [p.kind for p in found] == kinds
    assert not any(p.fatal for p in found)
    assert all(f"{start:.3f} s after" in p.message or p.message == note for p in found)


def test_the_same_action_counts_once() -> None:
    table = instances(
        ("v", "x", 1, 2), ("v", "x", 1.0005, 2), ("v", "y", 1, 2), ("w", "x", 1, 2),
        ("v", "x", 1, 2.1), ("v", "x", 1, 2),
    )  # fmt: skip
    good, problems = instance_problems(table, shown(v=9.0, w=9.0), ["x", "y"])
    assert [p.key for p in problems] == ["annotations[1].segment", "annotations[4].segment"]
    assert {p.kind for p in problems} == {"duplicate"}
    assert len(good) == 4


def test_repetitions_are_those_of_any_earlier_action() -> None:
    random = np.random.default_rng(0)
    start = random.integers(0, 6, 300) * 0.0006
    end = 1 + random.integers(0, 6, 300) * 0.0006
    rows = [
        (video, label, begin, stop)
        for video, label, begin, stop in zip(
            random.choice(["v", "w"], 300), random.choice(["x", "y"], 300), start, end, strict=True
        )
    ]
    repeated = [
        any(
            other[:2] == own[:2]
            and abs(other[2] - own[2]) <= SAME_SECONDS
            and abs(other[3] - own[3]) <= SAME_SECONDS
            for other in rows[:place]
        )
        for place, own in enumerate(rows)
    ]
    table = instances(*rows)
    good, problems = instance_problems(table, shown(v=9.0, w=9.0), ["x", "y"])
    kept = table[~np.array(repeated)]
    assert 0 < len(kept) < 300
    pd.testing.assert_frame_equal(good, kept.reset_index(drop=True))
    assert len(problems) == sum(repeated)


def test_twenty_thousand_actions_of_a_class_in_one_video_fit_into_memory() -> None:
    count = 20_000
    start = np.arange(count) // 2 * 0.1  # each is there twice
    table = pd.DataFrame({"video_id": "v", "label": "x", "start": start, "end": start + 0.05})
    tracemalloc.start()
    good, problems = instance_problems(table, shown(v=float(count)), ["x"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(good) == len(problems) == count // 2
    assert peak < 100e6


def test_foreign_labels_are_told_once_a_video() -> None:
    table = instances(("v", "odd", 1, 2), ("v", "x", 1, 2), ("v", "odd", 3, 4), ("w", "odd", 1, 2))
    good, problems = instance_problems(table, shown(v=9.0, w=9.0), ["x"])
    assert [p.video_id for p in problems] == ["v", "w"]
    assert {p.kind for p in problems} == {"unknown label"}
    assert problems[0].message == "'odd' (2 times) is not in the class list (x)"
    assert "data.classes_file" in problems[0].advice
    assert good["label"].tolist() == ["x"]


def facts(**values: float) -> pd.DataFrame:
    row = {"video_id": "v", "path": "/v.mp4", "duration": 100.0, "fps": 30.0, "n_frames": 3000}
    return pd.DataFrame([row | values])


@pytest.mark.parametrize(
    ("stated", "keys"),
    [
        ({"fps": 29.97, "duration": 99.0, "n_frames": 2950}, []),
        ({"fps": 25.0}, ["fps"]),
        ({"duration": 97.0, "n_frames": 3100}, ["duration", "frame"]),
        ({}, []),
    ],
)
def test_files_are_believed_and_differences_told(stated: dict[str, float], keys: list[str]) -> None:
    row = {"video_id": "v", "duration": math.nan, "fps": math.nan, "n_frames": math.nan}
    problems = stated_problems(pd.DataFrame([row | stated]), facts())
    assert [p.key for p in problems] == keys
    assert not any(p.fatal for p in problems)


def test_the_difference_is_spelled_out() -> None:
    stated = pd.DataFrame([{"video_id": "v", "duration": 100.0, "fps": 25.0, "n_frames": np.nan}])
    (found,) = stated_problems(stated, facts())
    assert found.kind == "fps mismatch"
    assert found.message == "the annotations say 25 frames per second, the file has 30"
    assert found.file == "/v.mp4"


VIDEOS = pd.DataFrame({"video_id": ["a", "b", "c"], "split": ["train", "holdout", "test"]})


def test_a_subset_without_ground_truth_is_fatal() -> None:
    everywhere = instances(("a", "x", 0, 1), ("b", "x", 0, 1), ("c", "x", 0, 1))
    assert ground_truth_problems(VIDEOS, everywhere, everywhere, ["x"]) == []
    for left, key in ((everywhere[2:], "data.training_subset"),
                      (everywhere[:2], "data.evaluation_subset")):  # fmt: skip
        fatal = [p for p in ground_truth_problems(VIDEOS, left, left, []) if p.fatal]
        assert [(p.kind, p.key) for p in fatal] == [("no ground truth left", key)]


def test_no_video_left_is_fatal_too() -> None:
    nothing = instances()
    fatal = [p for p in ground_truth_problems(VIDEOS[:0], nothing, nothing, []) if p.fatal]
    assert len(fatal) == 2


def test_a_video_that_loses_all_its_actions_is_told() -> None:
    before = instances(("a", "x", 0, 1), ("b", "x", 5, 4), ("c", "x", 0, 1))
    after = before.drop(index=1)
    (found,) = ground_truth_problems(VIDEOS, before, after, ["x"])
    assert (found.video_id, found.kind, found.fatal) == ("b", "no ground truth left", False)


def test_a_class_that_cannot_be_learned_is_told() -> None:
    table = instances(("a", "x", 0, 1), ("c", "y", 0, 1))
    (found,) = ground_truth_problems(VIDEOS, table, table, ["x", "y"])
    assert found.kind == "class without training actions"
    assert "'y'" in found.message


def test_the_table_puts_fatal_problems_first() -> None:
    table = problems_table([problem(kind="mild"), problem(kind="bad", fatal=True)])
    assert list(table.columns) == COLUMNS
    assert table["kind"].tolist() == ["bad", "mild"]
    assert list(problems_table([]).columns) == COLUMNS


def test_the_refusal_lists_the_first_ten() -> None:
    table = problems_table([problem(video_id=f"v{i}", fatal=True) for i in range(12)])
    with pytest.raises(UnusableDatasetError) as error:
        refuse_fatal(table, "data/problems.csv")
    lines = str(error.value).splitlines()
    assert lines[0] == (
        "the dataset cannot be used: 12 fatal problem(s), all listed in data/problems.csv"
    )
    assert lines[1] == "  v0 k: m; d"
    assert lines[-1] == "  ... and 2 more"
    assert len(lines) == 12


def test_mild_problems_do_not_refuse() -> None:
    refuse_fatal(problems_table([problem(), problem()]), "x")
    refuse_fatal(problems_table([]), "x")


def test_the_refusal_survives_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "problems.csv"
    problems_table([problem(video_id="", key="data.x", fatal=True)]).to_csv(path, index=False)
    with pytest.raises(UnusableDatasetError, match=r"\n  data.x: m; d"):
        refuse_fatal(pd.read_csv(path), "x")


def test_a_path_that_is_not_utf8_can_be_written_down(tmp_path: Path) -> None:
    table = problems_table([problem(file="caf\udce9.mp4", message="caf\udce9.mp4 is gone")])
    table.to_csv(tmp_path / "problems.csv")
    assert table["file"].tolist() == ["caf\\udce9.mp4"]


def test_names_of_classes_that_look_alike_are_told() -> None:
    labels = ["run", "Run", "run", "to jump", "to_jump", "1-2", "12", "fly"]
    assert [(p.key, p.fatal) for p in similar_labels(labels)] == [
        ("run", False),
        ("to jump", False),
    ]
    assert "'run' (2), 'Run' (1) are as many classes" in similar_labels(labels)[0].message


def test_frame_numbers_in_videos_of_variable_rate_are_told() -> None:
    facts = pd.DataFrame({
        "video_id": ["a", "b", "c"], "path": "p", "start": 0.0, "fps": 24.5, "note": "",
        "variable_rate": [True, True, False],
    })  # fmt: skip
    [told] = timing_problems(facts, frozenset({"a", "c"}))
    assert (told.video_id, told.kind) == ("a", "times in doubt")
    assert "at the mean rate, 24.500 a second" in told.message
