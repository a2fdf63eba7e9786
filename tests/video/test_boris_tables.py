"""Tables that BORIS exports: in part, twice, without their head."""

from pathlib import Path

import pytest
from annotation_reading import actions, messages, read_texts
from boris_exports import OLD_TABULAR, table

from tad_blockdrop.video.annotations import AnnotationError

HEADER = "Observation id,Source,Media duration (s),Subject,Behavior,Behavior type,Time"
OLD_HEADER = OLD_TABULAR.splitlines()[4]


def tabular(*events: tuple[str, float, str]) -> str:
    """The export of an observation of a.mp4 with these behaviours, times and statuses."""
    rows = (f"o,player #1:v/a.mp4,60,m,{code},{status},{time}" for code, time, status in events)
    return table(HEADER, *rows)


def test_states_of_a_part_of_an_export_are_paired_by_what_its_rows_say(tmp_path: Path) -> None:
    text = tabular(("groom", 2, "STOP"), ("groom", 5, "START"), ("groom", 8, "STOP"),
                   ("run", 9, "START"), ("run", 11, "START"), ("run", 12, "STOP"),
                   ("groom", 20, "START"))  # fmt: skip
    found = read_texts(tmp_path, {"part.csv": text})
    assert actions(found) == [("a", "groom", 5, 8), ("a", "run", 11, 12)]
    assert messages(found) == [
        "left out: 2 states without an end, for example in o",
        "left out: 1 ends of states without a beginning, for example in o",
    ]
    assert found.problems[-1].advice.startswith("the export seems to be cut")


def test_rows_of_joined_exports_count_once(tmp_path: Path) -> None:
    once = tabular(("groom", 1, "START"), ("sniff", 2, "POINT"), ("groom", 3, "STOP"))
    rows = once.splitlines()[1:]
    text = table(HEADER, *(row for row in rows for _ in range(2)))
    found = read_texts(tmp_path, {"twice.csv": text})
    assert actions(found) == [("a", "groom", 1, 3), ("a", "sniff", 1.5, 2.5)]
    assert "left out: 3 rows that repeat another one in all columns, for example in line 3" in (
        messages(found)
    )


def test_an_event_of_unknown_status_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="line 2: the event is 'pause', neither START, STOP"):
        read_texts(tmp_path, {"odd.csv": tabular(("groom", 1, "PAUSE"))})


def test_states_that_touch_are_two_in_any_order_of_rows(tmp_path: Path) -> None:
    text = tabular(("groom", 1, "START"), ("groom", 2, "START"), ("groom", 2, "STOP"),
                   ("groom", 3, "STOP"))  # fmt: skip
    found = read_texts(tmp_path, {"o.csv": text})
    assert actions(found) == [("a", "groom", 1, 2), ("a", "groom", 2, 3)]


def test_states_that_say_neither_begin_and_end_by_turns(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"o.csv": tabular(*(("groom", n, "STATE") for n in (1, 3, 5, 6)))})
    assert actions(found) == [("a", "groom", 1, 3), ("a", "groom", 5, 6)]


def test_an_old_header_with_an_observation_is_no_table_of_boris(tmp_path: Path) -> None:
    text = table(f"Observation id\t{OLD_HEADER}", "o\t1.5\tv/a.mp4\t60\t25\tm\tgroom\t\t\tSTART")
    with pytest.raises(AnnotationError, match="the format is not known"):
        read_texts(tmp_path, {"a.tsv": text})


def test_an_old_export_may_lack_the_lines_above_its_header(tmp_path: Path) -> None:
    rows = ["1.5\tv/a.mp4\t60\t25\tm\tgroom\t\t\tSTART", "3\tv/a.mp4\t60\t25\tm\tgroom\t\t\tSTOP"]
    found = read_texts(tmp_path, {"a.tsv": table(OLD_HEADER, *rows)})
    assert actions(found) == [("a", "groom", 1.5, 3)]
    assert any("the lines above the header of the export are missing" in m for m in messages(found))
    two = table(OLD_HEADER, *rows, rows[0].replace("a.mp4", "b.mp4"))
    with pytest.raises(AnnotationError, match=r"its 2 media, but the length of 'v/a\.mp4' is not"):
        read_texts(tmp_path, {"a.tsv": two})


def test_a_head_that_names_another_video_than_the_events_is_told(tmp_path: Path) -> None:
    text = OLD_TABULAR.replace("Player #1\ta.mp4", "Player #1\tv/b.mp4")
    found = read_texts(tmp_path, {"b.tsv": text})
    assert actions(found) == [("b", "groom", 1.5, 3)]
    [told] = [m for m in messages(found) if "the head of the export says" in m]
    assert "player 1 is 'b.mp4', which no event names (the first 'a.mp4')" in told


def test_times_before_the_video_are_read(tmp_path: Path) -> None:
    text = table("Observation id,Media file,Behavior,Behavior type,Start (s),Stop (s)",
                 "o,a.mp4,groom,STATE,-00:00:05.500,00:00:03.000")  # fmt: skip
    assert actions(read_texts(tmp_path, {"a.csv": text})) == [("a", "groom", -5.5, 3)]
