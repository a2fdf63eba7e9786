"""Files of datasets whose names say what their lines do not: THUMOS14, MultiTHUMOS, MS-TCN's."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from annotation_reading import actions, messages, read_texts

from tad_blockdrop.video.annotations import FORMATS, AnnotationError

PITCH = "video_validation_0000266  72.80 76.40\nvideo_validation_0000681  44.00 50.90\n"
CLIFF = "video_test_0000004 1.50 5.40 \n\nvideo_test_0000005 79.30 83.90\n"
DIVING = "video_test_0000004 1.50 5.40\n"
MULTI = {
    "video_validation_0000940": {"subset": "training", "duration": 90.5, "actions": [
        [10, 6.5, 7.0], [2, 8, 9.25]]},
    "video_test_0000006": {"subset": "testing", "duration": 30.0, "actions": []},
}  # fmt: skip


def frames(*stretches: tuple[str, int]) -> str:
    """A line for each frame."""
    return "".join(f"{name}\n" * count for name, count in stretches)


SALAD = frames(("action_start", 10), ("cut_tomato", 30), ("SIL", 10), ("cut_tomato", 5),
               ("background", 20), ("peel", 5))  # fmt: skip


def test_thumos14_has_a_file_for_each_class_and_subset(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {
        "BaseballPitch_val.txt": PITCH, "CliffDiving_test.txt": CLIFF, "Diving_test.txt": DIVING,
        "Ambiguous_test.txt": "video_test_0000009  1.0 2.0\nvideo_test_0000004  6.0 7.0\n",
    })  # fmt: skip
    assert actions(found) == [
        ("video_validation_0000266", "BaseballPitch", 72.8, 76.4),
        ("video_validation_0000681", "BaseballPitch", 44.0, 50.9),
        ("video_test_0000004", "CliffDiving", 1.5, 5.4),
        ("video_test_0000005", "CliffDiving", 79.3, 83.9),
        ("video_test_0000004", "Diving", 1.5, 5.4),
    ]
    assert dict(found.stated[["video_id", "subset"]].to_numpy()) == {
        "video_validation_0000266": "validation", "video_validation_0000681": "validation",
        "video_test_0000004": "test", "video_test_0000005": "test",
    }  # fmt: skip
    assert len(found.stated) == 4
    [told] = messages(found)
    assert told.startswith("left out: 2 actions of no class (Ambiguous)")


def test_two_thumos14_files_of_one_class_and_video_are_refused(tmp_path: Path) -> None:
    texts = {"Diving_test.txt": DIVING, "Diving.txt": DIVING}
    with pytest.raises(AnnotationError, match="video 'video_test_0000004' is annotated in both"):
        read_texts(tmp_path, texts)


def test_other_files_share_no_videos_with_thumos14(tmp_path: Path) -> None:
    texts = {
        "Diving_test.txt": DIVING,
        "own.csv": "video,start,end,label\nvideo_test_0000004,1,2,x",
    }
    with pytest.raises(AnnotationError, match="video 'video_test_0000004' is annotated in both"):
        read_texts(tmp_path, texts)


def test_a_damaged_line_of_thumos14_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"Diving_test\.txt|the annotations, line 2: 'video_"):
        read_texts(tmp_path, {"Diving_test.txt": DIVING + "video_test_0000005 7.5\n"})


def test_classes_of_multithumos_are_numbers(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"multithumos.json": json.dumps(MULTI)})
    assert actions(found) == [
        ("video_validation_0000940", "class_10", 6.5, 7.0),
        ("video_validation_0000940", "class_2", 8.0, 9.25),
    ]
    assert found.classes == ("class_2", "class_10")
    assert found.stated["duration"].tolist() == [90.5, 30.0]
    assert found.stated["subset"].tolist() == ["training", "testing"]
    assert messages(found) == [
        "its 2 classes are numbers, and named by them: 'class_10' for example"
    ]


def test_names_instead_of_numbers_are_kept(tmp_path: Path) -> None:
    found = read_texts(
        tmp_path, {"a.json": json.dumps({"v": {"actions": [["Sit", 1, 2]]}, "w": {}})}
    )
    assert actions(found) == [("v", "Sit", 1, 2)]
    assert found.stated["video_id"].tolist() == ["v", "w"]
    assert messages(found) == []


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([1, 2.0], r"v\.actions\[0\]: \[1, 2.0\] is no class, start and end"),
        ([True, 1, 2], r"v\.actions\[0\]\[0\]: it is True, not a text"),
        ([1, "x", 2], r"v\.actions\[0\]\[1\]: 'x' is not a number"),
        (5, r"v\.actions\[0\]: it is 5, not a list"),
    ],
)
def test_bad_actions_of_multithumos_are_refused(tmp_path: Path, action: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_texts(tmp_path, {"a.json": json.dumps({"v": {"actions": [action]}})})


def test_stretches_of_a_frame_text_are_actions(tmp_path: Path) -> None:
    """In a folder as MS-TCN's, of which only ``groundTruth`` holds annotations."""
    found = read_texts(tmp_path, {
        "rgb-01-1.txt": SALAD, "rgb-01-2.txt": frames(("SIL", 40)),
        "mapping.txt": "".join(f"{n} {name}\n" for n, name in enumerate(["cut_tomato"] * 30)),
        "train.split1.bundle": "".join(f"rgb-{n:02d}-1.txt\n" for n in range(40)),
    })  # fmt: skip
    assert actions(found) == [
        ("rgb-01-1", "action_start", 0, 10),
        ("rgb-01-1", "cut_tomato", 10, 40),
        ("rgb-01-1", "cut_tomato", 50, 55),
        ("rgb-01-1", "peel", 75, 80),
    ]
    assert found.stated["n_frames"].tolist() == [80, 40]
    assert found.in_frames == {"rgb-01-1"}
    assert messages(found)[0].startswith("2 file(s) in the folder of annotations are in no known")
    facts = pd.DataFrame([("rgb-01-1", 10.0, 0.5)], columns=["video_id", "fps", "start"])
    assert found.in_seconds(facts)["start"].tolist() == [0.5, 1.5, 5.5, 8.0]


def test_frames_of_texts_are_counted_at_the_rate_that_is_set(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"a.txt": SALAD}, frame_rate=10.0)
    assert actions(found)[1] == ("a", "cut_tomato", 1.0, 4.0)


@pytest.mark.parametrize(
    "text",
    [
        "hello\n",
        "".join(f"class_{n}\n" for n in range(50)),
        frames(("cut", 5), ("peel", 5)),
        frames(("To be done", 40)),
        frames(("0", 30), ("1", 30)),
        frames(("0 cut", 40)),
        frames(("a", 2), ("b", 2)) * 20,
    ],
    ids=["a word", "a list of classes", "few lines", "notes", "numbers", "a mapping", "short runs"],
)
def test_other_lists_are_no_frame_texts(text: str) -> None:
    assert not any(each.recognise(text) for each in FORMATS)


def test_an_empty_line_of_a_frame_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="line 31: it is empty, but a line is a frame"):
        read_texts(tmp_path, {"a.txt": frames(("cut", 30)) + "\n" + frames(("cut", 30))})
