"""From annotations and probed files to the tables: who is where, who is left out, and why."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from dataset_files import database, video, write_video

from tad_blockdrop.config import DataConfig
from tad_blockdrop.video.annotations import Annotations, read_annotations
from tad_blockdrop.video.dataset import (
    Dataset,
    build_dataset,
    listed_videos,
    source_frames,
)
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.windows.cutting import records


def config(**changes: Any) -> DataConfig:
    values = {"source": "files", "every": 2, "fps": None, "holdout": 0.0}
    return DataConfig.model_validate(values | changes)


def facts(*video_ids: str, **changes: Any) -> pd.DataFrame:
    """Probed: 10 s at 30 frames per second."""
    values = {
        "duration": 10.0, "fps": 30.0, "n_frames": 300, "start": 0.0, "width": 64, "height": 48,
        "rotation": 0, "variable_rate": False, "codec": "h264", "note": "",
    }  # fmt: skip
    rows = [{"video_id": v, "path": f"/videos/{v}.mp4", **(values | changes)} for v in video_ids]
    return pd.DataFrame(rows)


def two() -> Annotations:
    return read_annotations(
        database(
            a=video("training", ("run", 1, 2), ("jump", 3, 4)),
            b=video("validation", ("jump", 1, 2)),
        )
    )


def build(annotations: Annotations, *video_ids: str, **changes: Any) -> Dataset:
    return build_dataset(annotations, facts(*video_ids), config(**changes))


def kinds(dataset: Dataset) -> list[str]:
    return [problem.kind for problem in dataset.problems]


def test_tables() -> None:
    found = build(two(), "b", "a")
    assert found.problems == []
    expected = pd.DataFrame(
        {
            "video_id": ["a", "b"],
            "split": ["train", "test"],
            "path": ["/videos/a.mp4", "/videos/b.mp4"],
            "n_samples": [150, 150],
            "rate": [15.0, 15.0],
            "duration": [10.0, 10.0],
            "n_frames": [300, 300],
            "fps": [30.0, 30.0],
            "start": [0.0, 0.0],
            "width": [64, 64],
            "height": [48, 48],
            "variable_rate": [False, False],
            "listed": [1, 1],
        }
    )
    pd.testing.assert_frame_equal(found.videos, expected, check_dtype=False)
    assert list(found.instances.itertuples(index=False, name=None)) == [
        ("a", "run", "run", 1.0, 2.0),
        ("a", "jump", "jump", 3.0, 4.0),
        ("b", "jump", "jump", 1.0, 2.0),
    ]
    assert found.classes == ("jump", "run")
    assert found.listed == {"train": 1, "test": 1}


def test_the_tables_are_what_windows_are_cut_from() -> None:
    found = build(two(), "a", "b")
    (record,) = records(found.videos, found.instances, found.classes, "train")
    assert record.segments_seconds.tolist() == [[1, 2], [3, 4]]
    assert record.labels.tolist() == [1, 0]


def test_a_class_list_sets_order_and_membership() -> None:
    found = build_dataset(two(), facts("a", "b"), config(), ["jump", "fly"])
    assert found.classes == ("jump", "fly")
    assert sorted(kinds(found)) == ["class without training actions", "unknown label"]
    assert found.instances["label"].tolist() == ["jump", "jump"]


def test_a_class_agnostic_detector_says_action() -> None:
    found = build(two(), "a", "b", class_agnostic=True)
    assert found.classes == ("action",)
    assert set(found.instances["label"]) == {"action"}
    assert found.instances["category"].tolist() == ["run", "jump", "jump"]
    rare = build_dataset(
        two(), facts("a", "b"), config(class_agnostic=True), ["run", "jump", "fly"]
    )
    assert rare.problems == []


def test_unusable_videos_are_listed_but_not_used() -> None:
    found = build(two(), "b")
    assert found.videos["video_id"].tolist() == ["b"]
    assert found.instances["video_id"].tolist() == ["b"]
    assert found.listed == {"train": 1, "test": 1}


def test_nothing_readable_is_one_of_the_problems() -> None:
    found = build_dataset(two(), facts("a").iloc[:0], config())
    assert [p.key for p in found.problems if p.fatal] == [
        "data.training_subset",
        "data.evaluation_subset",
    ]
    assert found.videos.empty


@pytest.mark.parametrize(
    ("blocked", "left"),
    [
        ("b", ["a", "c.mp4", "c.avi"]),
        ("v_b", ["a", "c.mp4", "c.avi"]),
        ("b.mp4", ["a", "c.mp4", "c.avi"]),
        ("v_b.MKV", ["a", "c.mp4", "c.avi"]),
        ("c", ["a", "b"]),
        ("c.mp4", ["a", "b", "c.avi"]),
        ("c.mkv", ["a", "b", "c.mp4", "c.avi"]),
        ("b.txt", ["a", "b", "c.mp4", "c.avi"]),
    ],
)
def test_blocked_videos_are_left_out(blocked: str, left: list[str]) -> None:
    """Named with or without an ending, which means another video only where both have one."""
    raw = database(
        **{name: video("training", ("run", 0, 1)) for name in ("a", "b", "c.mp4", "c.avi")}
    )
    listed, problems = listed_videos(read_annotations(raw), config(blocked_videos=[blocked]))
    assert listed["video_id"].tolist() == left
    assert ("unknown video" in [p.kind for p in problems]) == (len(left) == 4)


def test_blocked_videos_that_are_not_there_are_told_in_one_row() -> None:
    names = ["b", *(f"gone{i}" for i in range(1000))]
    listed, (problem, *_) = listed_videos(two(), config(blocked_videos=names))
    assert listed["video_id"].tolist() == ["a"]
    assert not problem.fatal
    assert "no video named gone0, gone1" in problem.message
    assert problem.message.endswith("gone9 and 990 more")


@pytest.mark.parametrize(("written", "listed_as"), [("c.mp4", "c"), ("c", "c.mp4"), ("v_c", "c")])
def test_evaluation_videos_are_named_with_or_without_the_ending(
    written: str, listed_as: str
) -> None:
    raw = pd.DataFrame({"video": ["a", listed_as], "start": 0.0, "end": 1.0, "label": "x"})
    listed, problems = listed_videos(read_annotations(raw), config(evaluation_videos=[written]))
    assert listed.set_index("video_id")["split"].to_dict() == {"a": "train", listed_as: "test"}
    assert problems == []
    _, (problem,) = listed_videos(read_annotations(raw), config(evaluation_videos=["c", "gone"]))
    assert (problem.video_id, problem.fatal) == ("gone", True)


def test_a_name_means_the_video_that_is_spelled_like_it() -> None:
    raw = database(
        cam=video("training", ("run", 0, 1)), v_cam=video("training"), b=video("validation")
    )
    listed, _ = listed_videos(read_annotations(raw), config(blocked_videos=["v_cam"]))
    assert listed["video_id"].tolist() == ["cam", "b"]


def test_subsets_go_by_any_of_their_names() -> None:
    raw = database(a=video("Train", ("run", 0, 1)), b=video("val"), c=video("test"))
    listed, problems = listed_videos(read_annotations(raw), config())
    assert dict(zip(listed["video_id"], listed["split"], strict=True)) == {
        "a": "train",
        "b": "test",
    }
    assert problems == []


def test_a_subset_that_is_not_there_is_fatal_and_those_found_are_listed() -> None:
    raw = database(a=video("training", ("run", 0, 1)), b=video("test"), c=video("test"))
    _, (problem,) = listed_videos(read_annotations(raw), config())
    assert problem.fatal
    assert problem.key == "data.evaluation_subset"
    assert problem.message == (
        "no video is in the subset 'validation'; the annotations have: training (1), test (2)"
    )


def test_a_mistyped_subset_is_told() -> None:
    raw = database(a=video("training", ("run", 0, 1)), b=video("validation"), c=video("trianing"))
    listed, (problem,) = listed_videos(read_annotations(raw), config())
    assert len(listed) == 2
    assert (problem.video_id, problem.kind, problem.fatal) == ("c", "unknown subset", False)
    assert "'trianing'" in problem.message


def test_training_and_evaluation_must_differ() -> None:
    _, problems = listed_videos(two(), config(evaluation_subset="train"))
    assert [p.kind for p in problems if p.fatal] == ["unknown subset"]


def test_one_id_in_two_spellings_counts_once() -> None:
    first = video("training", ("run", 0, 1))
    raw = database(**{"c/é": first, "c\\e\u0301": video("training"), "b": video("validation")})
    listed, (problem,) = listed_videos(read_annotations(raw), config())
    assert listed["video_id"].tolist() == ["c/é", "b"]
    assert (problem.video_id, problem.kind) == ("c\\e\u0301", "duplicate")


def test_two_spellings_of_an_id_in_two_subsets_are_refused() -> None:
    first = video("training", ("run", 0, 1))
    raw = database(**{"cam1/é": first, "cam1\\e\u0301": video("validation")}, b=video("val"))
    _, problems = listed_videos(read_annotations(raw), config())
    assert [p.kind for p in problems if p.fatal] == ["duplicate"]
    _, problems = listed_videos(read_annotations(raw), config(blocked_videos=["cam1/é"]))
    assert "duplicate" not in [p.kind for p in problems]


def test_a_picture_that_starts_late_has_samples_from_zero_on() -> None:
    probed = facts("a", "b", start=0.5, duration=10.5)
    found = build_dataset(two(), probed, config(every=3))
    assert found.videos["n_samples"].tolist() == [105, 105]
    assert [p.kind for p in found.problems] == ["picture starts late"] * 2
    (frames, _) = source_frames(found.videos, "player")
    assert frames[:7].tolist() == [0, 0, 0, 0, 0, 0, 3]
    assert frames[-1] == 297


def test_without_subsets_some_videos_are_put_aside() -> None:
    table = pd.DataFrame(
        {"video": [f"clip{i}" for i in range(20)], "start": 0.0, "end": 1.0, "label": "x"}
    )
    listed, (problem,) = listed_videos(read_annotations(table), config())
    assert listed["split"].value_counts().to_dict() == {"train": 16, "test": 4}
    assert problem.message.startswith("no subset is named: 4 of 20 videos")
    shuffled, _ = listed_videos(read_annotations(table[::-1]), config())
    assert listed.set_index("video_id")["split"].to_dict() == (
        shuffled.set_index("video_id")["split"].to_dict()
    )


def test_holdout_is_taken_from_training_only() -> None:
    raw = database(
        **{f"t{i}": video("training", ("x", 0, 1)) for i in range(10)},
        **{f"e{i}": video("validation", ("x", 0, 1)) for i in range(10)},
    )
    annotations = read_annotations(raw)
    found = build(annotations, *annotations.stated["video_id"], holdout=0.3)
    assert found.videos["split"].value_counts().to_dict() == {"train": 7, "holdout": 3, "test": 10}
    assert found.videos.loc[found.videos["split"] == "test", "video_id"].str.startswith("e").all()
    assert set(found.videos["listed"]) == {10}


@pytest.mark.parametrize(
    ("sampling", "fps", "n_frames", "expected"),
    [
        ({"every": 4}, 30.0, 9, [0, 4, 8]),
        ({"every": 1}, 30.0, 3, [0, 1, 2]),
        ({"every": None, "fps": 15}, 30.0, 7, [0, 2, 4, 6]),
        ({"every": None, "fps": 60}, 30.0, 2, [0, 0, 1, 1]),
    ],
)
def test_source_frames(
    sampling: dict[str, Any], fps: float, n_frames: int, expected: list[int]
) -> None:
    probed = facts("a", "b", fps=fps, n_frames=n_frames, duration=n_frames / fps)
    videos = build_dataset(two(), probed, config(**sampling)).videos
    assert videos["n_samples"].tolist() == [len(expected)] * 2
    assert [frames.tolist() for frames in source_frames(videos, "player")] == [expected] * 2


def test_windows_read_the_source_frames(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=2)
    probed = facts("a", "b", fps=10.0, n_frames=20, duration=2.0).assign(path=str(path))
    found = build_dataset(two(), probed, config(every=3))
    videos = found.videos.assign(source_frames=source_frames(found.videos, "player"))
    (record,) = records(videos, found.instances, found.classes, "train")
    shown = read_frames(record.path, record.frames_of(np.arange(3)))
    assert np.abs(shown.mean(axis=(1, 2, 3)) - [0, 24, 48]).max() < 4
