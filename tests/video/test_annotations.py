"""Annotation files of every usual layout become the same two tables, or a sentence."""

import io
import json
import math
from itertools import permutations
from typing import Any

import pandas as pd
import pytest
from dataset_files import database, video

from tad_blockdrop.video import annotations
from tad_blockdrop.video.annotations import (
    FORMATS,
    AnnotationError,
    Annotations,
    Source,
    read_annotations,
    read_classes,
    subset_key,
)
from tad_blockdrop.video.annotations.formats.activitynet import ActivityNet


def table(text: str, **options: Any) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), **options)


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def test_opentad_states_duration_frames_and_rate() -> None:
    raw = database(a=video("training", ("jump", 1, 2.5), duration=8.0, frame=240, fps=30.0))
    found = read_annotations(raw)
    assert rows(found.stated) == [("a", "training", 8.0, 30.0, 240.0)]
    assert rows(found.instances) == [("a", "jump", 1.0, 2.5)]


def test_what_the_official_file_leaves_out_is_nan() -> None:
    entry = {
        "duration": 82.73,
        "subset": "testing",
        "resolution": "1920x1080",
        "url": "https://www.youtube.com/watch?v=abc",
        "annotations": [],
    }
    other = video("training", ("jump", 0, 1))
    raw = {
        "database": {"abc": entry, "def": other},
        "taxonomy": [{"nodeName": "Root"}],
        "version": "1-3",
    }
    found = read_annotations(raw)
    (_, subset, duration, fps, frames), _ = rows(found.stated)
    assert (subset, duration) == ("testing", 82.73)
    assert math.isnan(fps)
    assert math.isnan(frames)
    assert found.instances["video_id"].tolist() == ["def"]


def test_actionformer_numbers_its_classes() -> None:
    entry = video("Validation", ("b", 0, 1), ("a", 2, 3), ("c", 4, 5), fps=30)
    for item, number in zip(entry["annotations"], (7, 3, 9), strict=True):
        item |= {"label_id": number, "segment(frames)": [0, 30]}
    found = read_annotations(database(v=entry))
    assert found.classes == ("a", "b", "c")
    assert found.instances["start"].tolist() == [0, 2, 4]
    assert subset_key(found.stated["subset"][0]) == subset_key("validation")


def test_without_numbers_classes_are_in_the_order_of_their_names() -> None:
    """Whatever the order of the rows."""
    raw = database(x=video("train", ("walk", 0, 1), ("run", 1, 2)), y=video("val", ("fly", 0, 1)))
    assert read_annotations(raw).classes == ("fly", "run", "walk")
    lines = ["video,start,end,label", "x,0,1,walk", "x,1,2,run", "y,0,1,fly"]
    for order in permutations(lines[1:]):
        assert read_annotations(table("\n".join([lines[0], *order]))).classes == (
            "fly", "run", "walk",
        )  # fmt: skip


def test_json_without_subsets_is_like_a_table_without() -> None:
    entries = {"a": video("", ("run", 0, 1)), "b": video("") | {"annotations": None}}
    for entry in entries.values():
        del entry["subset"]
    found = read_annotations(database(**entries))
    assert rows(found.stated[["video_id", "subset"]]) == [("a", ""), ("b", "")]
    assert rows(found.instances) == [("a", "run", 0.0, 1.0)]
    assert found.problems == ()


@pytest.mark.parametrize("clashing", [[0, 0], [0, None]])
def test_numbers_that_are_no_order_are_not_used(clashing: list[int | None]) -> None:
    entry = video("train", ("z", 0, 1), ("a", 1, 2))
    for item, number in zip(entry["annotations"], clashing, strict=True):
        item["label_id"] = number
    assert read_annotations(database(v=entry)).classes == ("a", "z")


@pytest.mark.parametrize(
    ("one", "other"),
    [("train", "Training"), ("val", "validation"), ("valid", "VAL"), ("test", "testing")],
)
def test_subsets_have_several_names(one: str, other: str) -> None:
    assert subset_key(one) == subset_key(other)
    assert subset_key("train") != subset_key("test")


def test_csv_with_subset() -> None:
    raw = table("video,start,end,label,subset\na,0.5,1.5,jump,train\na,2,3,run,train\nb,,,,val\n")
    found = read_annotations(raw)
    assert rows(found.stated[["video_id", "subset"]]) == [("a", "train"), ("b", "val")]
    assert rows(found.instances) == [("a", "jump", 0.5, 1.5), ("a", "run", 2.0, 3.0)]
    assert found.classes == ("jump", "run")


def test_csv_without_subset_names_none() -> None:
    found = read_annotations(table("video,start,end,label\na,0,1,jump\n"))
    assert found.stated["subset"].tolist() == [""]


def test_csv_read_as_text_keeps_numeric_ids() -> None:
    raw = table("Video, Start, End, Label\n007,0,1,jump\n", dtype=str, skipinitialspace=True)
    found = read_annotations(raw)
    assert rows(found.instances) == [("007", "jump", 0.0, 1.0)]


def test_a_byte_order_mark_does_not_hide_the_first_column() -> None:
    assert len(read_annotations(table("\ufeffvideo,start,end,label\na,0,1,jump\n")).instances) == 1


BAD_SEGMENT = video("training")
BAD_SEGMENT["annotations"] = [{"label": "x", "segment": [1]}]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "in the annotations, top level: the format is not known (found: an empty list"),
        ({"videos": {}}, "top level: the format is not known (found: the keys 'videos')"),
        (table("frame;run\n0;1\n"), "not known (found: the columns 'frame;run')"),
        ({"clips": 1}, 'use one of these formats. ActivityNet JSON: {"database": '),
        ({"clips": 1}, "CSV table: the columns video,start,end,label"),
        ({"results": {}}, "this is a file of predictions, not of annotations"),
        ({"database": {}}, "database: it lists no video; add your videos"),
        ({"database": []}, "database: it is []; write an object"),
        (database(a=[]), "database.a: it is []; write an object"),
        (database(a=video("t", ("x", 0, 1)), b={}), "database.b.subset: it is missing"),
        (database(**{"./a.mp4": video("t"), "././a.mp4": video("t")}), "video 'a' is there twice"),
        (database(a=video("")), "database.a.subset: it is missing"),
        (database(a=video("train") | {"annotations": {}}), "database.a.annotations: it is not a"),
        (
            database(a=BAD_SEGMENT),
            "database.a.annotations[0].segment: it is [1]; give [start, end]",
        ),
        (database(a=video("t", ("x", "1s", 2))), "segment[0]: '1s' is not a number"),
        (database(a=video("t", ("x", 1, math.nan))), "segment[1]: nan is not a number"),
        (database(a=video("t", ("x", 1, 10**400))), "is not a number; give seconds"),
        (database(a=video("t", (None, 1, 2))), "database.a.annotations[0].label: it is missing"),
        (database(a=video("t", duration="long")), "database.a.duration: 'long' is not a number"),
        (table("name,start,end,label\na,0,1,x\n"), "header: the column 'video' is missing"),
        (table("video,start,end,label\n"), "table: it has no rows"),
        (table("video,start,end,label\na,zero,1,x\n"), "line 2, start: 'zero' is not a number"),
        (table("video,start,end,label\na,0,,x\n"), "line 2, end: nan is not a number"),
        (table("video,start,end,label\na,0,1,\n"), "line 2, label: it is missing"),
        (table("video,start,end,label\n,0,1,x\n"), "line 2, video: it is missing"),
        (
            table("video,start,end,label,subset\na,0,1,x,train\na,1,2,x,val\n"),
            "line 3, subset: video 'a' has 'val' here, 'train' above",
        ),
    ],
)
def test_what_cannot_be_understood_is_said(raw: Any, message: str) -> None:
    with pytest.raises(AnnotationError) as error:
        read_annotations(raw)
    assert message in str(error.value)


class Cues:
    """A toy format: text, a line per action with video, label, start and length in frames."""

    name = "cues"
    layout = "cues at 25 frames a second, then lines of video label start length"

    def recognise(self, content: object) -> bool:
        return isinstance(content, str) and content.startswith("cues at")

    def read(self, content: str, source: Source) -> Annotations:
        head, *lines = content.splitlines()
        fps = float(head.split()[2])
        found = [line.split() for line in lines]
        return Annotations.from_rows(
            {video: (video, "training", math.nan, fps, math.nan) for video, *_ in found}.values(),
            [(v, label, int(s) / fps, (int(s) + int(n)) / fps) for v, label, s, n in found],
        )


def test_a_format_of_ones_own_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "cues at 25 frames a second\na jump 50 25\na run 0 5\n"
    with pytest.raises(AnnotationError, match=r"not known \(found: a text that begins with"):
        read_annotations(text)
    monkeypatch.setattr(annotations, "FORMATS", list(FORMATS))
    annotations.FORMATS.append(Cues())
    found = read_annotations(text)
    assert rows(found.stated[["video_id", "subset", "fps"]]) == [("a", "training", 25.0)]
    assert rows(found.instances) == [("a", "jump", 2.0, 3.0), ("a", "run", 0.0, 0.2)]
    assert found.classes == ("jump", "run")
    assert read_annotations(database(b=video("train", ("fly", 0, 1)))).classes == ("fly",)
    with pytest.raises(AnnotationError, match="cues: cues at 25 frames"):
        read_annotations([])


def test_results_are_those_of_activitynet() -> None:
    detections = pd.DataFrame(
        [("a", 1.00049, 2.5, "run", 0.912345), ("a", 4.0, 5.0, "jump", 0.5)],
        columns=["video_id", "start", "end", "label", "score"],
    )
    results = ActivityNet().write(detections, ["a", "dull"])
    assert json.loads(json.dumps(results))["results"] == {
        "a": [
            {"label": "run", "score": 0.91234, "segment": [1.0, 2.5]},
            {"label": "jump", "score": 0.5, "segment": [4.0, 5.0]},
        ],
        "dull": [],
    }


def test_class_lists_keep_their_order() -> None:
    assert read_classes("\ufeffrun\n\n jump \nfly") == ("run", "jump", "fly")


@pytest.mark.parametrize(("text", "message"), [("\n \n", "it is empty"), ("a\nb\na", "'a' is")])
def test_bad_class_lists_are_refused(text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_classes(text)


def test_names_of_classes_are_compared_in_one_unicode_form() -> None:
    split = "Gro\u0308\u00dfe"
    found = read_annotations(database(v=video("train", ("Gr\u00f6\u00dfe", 0, 1), (split, 1, 2))))
    assert found.classes == read_classes(split) == ("Gr\u00f6\u00dfe",)
    assert found.problems == ()
    alike = read_annotations(database(v=video("train", ("run", 0, 1), ("Run", 1, 2))))
    assert [problem.kind for problem in alike.problems] == ["similar classes"]
