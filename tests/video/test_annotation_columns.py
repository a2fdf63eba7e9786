"""Tables of people's own: other names of columns, paths of videos, remarks."""

from pathlib import Path
from typing import Any

import pytest
from annotation_reading import actions, messages, read_texts

from tad_blockdrop.video.annotations import AnnotationError, read_annotations

JUMP = [("a.mp4", "jump", 1.5, 3.0)]
NAMED = "read with the column "


@pytest.mark.parametrize(
    ("text", "meant", "told"),
    [
        ("Filename,Start Time,End Time,Behavior\na.mp4,1.5,3,jump\n", JUMP,
         "'filename' as video, 'start_time' as start, 'end_time' as end, 'behavior' as label"),
        ("File;Onset;Offset;Event label\na.mp4;1,5;3;jump\n", JUMP,
         "'file' as video, 'onset' as start, 'offset' as end, 'event_label' as label"),
        ("video_id,begin,stop,class\na.mp4,0:01.5,0:03,jump\n", JUMP,
         "'video_id' as video, 'begin' as start, 'stop' as end, 'class' as label"),
        ("video,start_s,end_sec,action\na.mp4,1.5,3,jump\n", JUMP,
         "'start_s' as start, 'end_sec' as end, 'action' as label"),
        ("video,Start (ms),stop_ms,label\na.mp4,1500,3000,jump\nb,,,\n", JUMP,
         "'start_ms' as start in milliseconds, 'stop_ms' as end in milliseconds"),
        ("video,start,duration,label\na.mp4,1.5,1.5,jump\nb,,,\n", JUMP,
         "'duration' as length of the actions"),
        ("video,start_frame,duration_ms,label,fps\na.mp4,15,1500,jump,10\n", JUMP,
         "'duration_ms' as length of the actions in milliseconds"),
    ],
)  # fmt: skip
def test_other_names_of_columns_are_understood_and_told(
    tmp_path: Path, text: str, meant: list[Any], told: str
) -> None:
    found = read_texts(tmp_path, {"table.csv": text})
    assert actions(found) == meant
    assert NAMED + told in messages(found)


def test_the_names_themselves_count_before_others(tmp_path: Path) -> None:
    text = "video,start,end,label,class,file,start_ms,duration_s\na.mp4,1.5,3,jump,x,y,9,1\n"
    found = read_texts(tmp_path, {"table.csv": text})
    assert actions(found) == JUMP
    assert messages(found) == []
    text = "video,start_frame,end_frame,start_time,end_time,label,fps\na.mp4,15,30,7,8,jump,10\n"
    assert actions(read_texts(tmp_path, {"table.csv": text})) == JUMP


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,filename,start,end,label\na,b,1,2,x\n",
         "the columns 'file' and 'filename' may both be the video; call the one that is meant"),
        ("video,start,end,behavior,event\na,1,2,x,y\n", "'behavior' and 'event' may both be the"),
        ("video,start_ms,start_s,end,label\na,1,2,3,x\n", "'start_ms' and 'start_s' may both be"),
        ("video,start_ms,end_ms,label\na,1 s,2,x\n", "start: '1 s' is not a number; give millis"),
        ("clip,start,end,label\na.mp4,1,2,x\nb.mp4,1,2,x\n", "the column 'video' is missing"),
    ],
)  # fmt: skip
def test_columns_that_may_be_several_things_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(AnnotationError) as error:
        read_texts(tmp_path, {"table.csv": text})
    assert message in str(error.value)


def test_tables_without_videos_are_called_after_them(tmp_path: Path) -> None:
    text = "start,end,label\n1,2,run\n"
    found = read_texts(tmp_path, {"cage_1.csv": text, "cage_2_labels.csv": text})
    assert actions(found) == [("cage_1", "run", 1, 2), ("cage_2", "run", 1, 2)]
    assert "read with the file's name as that of its video, 'cage_1'" in messages(found)


def test_paths_of_another_machine_become_names(tmp_path: Path) -> None:
    rows = [r"C:\films\a.mp4,1,2,run", "/home/u/b.mp4,1,2,run", "./c.mp4,1,2,run",
            "https://h/d.mp4?x=1,1,2,run", "videos/e.mp4,1,2,run", "../f.mp4,1,2,run",
            "https://h/watch?v=x,1,2,run", "C:/films/a.mp4,3,4,run"]  # fmt: skip
    found = read_texts(tmp_path, {"t.csv": "\n".join(["video,start,end,label", *rows, ""])})
    assert found.stated["video_id"].tolist() == [
        "a", "b", "c", "d", "videos/e.mp4", "../f.mp4", "https://h/watch?v=x",
    ]  # fmt: skip
    [told] = messages(found)
    assert told.startswith(
        "read with names instead of the paths of videos, for example 'a' for 'C:"
    )


def test_paths_of_one_name_are_told_apart(tmp_path: Path) -> None:
    text = "video,start,end,label\n/x/{0}/a.mp4,1,2,run\n"
    found = read_texts(tmp_path, {f"{cam}.csv": text.format(cam) for cam in ("cam1", "cam2")})
    assert found.stated["video_id"].tolist() == ["cam1/a", "cam2/a"]


def test_paths_in_json_become_names() -> None:
    action = {"segment": [1, 2], "label": "run"}
    raw = {"database": {"/home/u/a.mp4": {"annotations": [action]}, "b": {"annotations": None}}}
    found = read_annotations(raw)
    assert found.stated["video_id"].tolist() == ["a", "b"]
    assert "'a' for '/home/u/a.mp4'" in found.problems[0].message


def test_remarks_between_rows_are_left_out_and_told(tmp_path: Path) -> None:
    text = ("# coded by Ann, on Monday\nvideo,start,end,label\na.mp4,1.5,3,jump\n"
            "# unsure, see the notes, and more, of them\n#later\n#1,2,3,jump\n"
            "# 2 b.mp4,1,3,jump\n")  # fmt: skip
    found = read_texts(tmp_path, {"table.csv": text})
    assert actions(found) == [*JUMP, ("#1", "jump", 2, 3), ("# 2 b.mp4", "jump", 1, 3)]
    assert messages(found) == [
        "read with '# coded by Ann' as a title above the table",
        "read with 2 line(s) as remarks, for example '# unsure'",
    ]
