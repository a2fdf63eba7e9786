"""A table with a row per action: CSV files of people's own programs, above all of spreadsheets."""

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from tad_blockdrop.video.annotations.formats.contract import Source, shortened
from tad_blockdrop.video.annotations.formats.csv_columns import (
    COLUMNS,
    FRAMES,
    LENGTH,
    column_of,
    is_ours,
    missing,
    named,
    plain,
)
from tad_blockdrop.video.annotations.media import is_video
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    STATED,
    AnnotationError,
    Annotations,
    choice_problem,
    given,
    is_remark,
    line_numbers,
    number_of,
    optional_number,
    seconds_of,
    shown,
    text_of,
)

ROUNDED = 0.5  # seconds by which the length of an action may differ from its end minus its start
NUMBERS = ("start", "end", LENGTH, "duration", "fps")
KNOWN = (*COLUMNS, *FRAMES.values(), LENGTH, "subset", "duration", "fps")

_Row = Mapping[Hashable, Any]
_Facts = tuple[str, str, float, float, float]  # what is stated of a video, as ``STATED``


class CSVTable:
    """The columns video, start, end, label and, optionally, subset, duration, fps.

    Start and end are times (see ``seconds_of``). Instead, start_frame and end_frame may count
    frames from 0, at the rate in fps or ``data.reading.frame_rate``. A video without actions has
    one row in which start, end and label are empty. Empty rows do not count. Columns may have other
    usual names (``csv_columns``); without a column of videos, the file is of the one in its name.
    """

    name = "CSV table"
    layout = "the columns video,start,end,label,subset"

    def recognise(self, content: object) -> bool:
        """Whether it has three of the four required columns: ``read`` then names the fourth."""
        return isinstance(content, pd.DataFrame) and is_ours(plain(content.iloc[:0]))

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The tables of a loaded file. Raises AnnotationError."""
        table, lines, choices = _prepared(content, source)
        rate = source.config.frame_rate or math.nan
        if "duration" in table and _has_lengths(table, lines, rate):
            table = table.drop(columns="duration")
            choices += ["the column duration as the length of the actions, which is not used"]
        stated: dict[str, _Facts] = {}
        instances = []
        for number, row in zip(lines, table.to_dict("records"), strict=True):
            where = f"line {number}"
            facts = _facts(row, where)
            video, _, _, fps, _ = facts
            stated[video] = _joined(stated.get(video, facts), facts, where)
            if any(given(row.get(column_of(row, name))) for name in ("start", "end", "label")):
                label = text_of(row["label"], f"{where}, label", "name the action")
                start, end = _segment(row, _first(fps, rate), where)
                instances.append((video, label, start, end))
        if not instances:
            raise AnnotationError("table", "no row has an action", "fill in start, end and label")
        return Annotations.from_rows(
            stated.values(), instances, problems=map(choice_problem, choices)
        )


def _prepared(content: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, pd.Index, list[str]]:
    """The rows that hold anything, under the names of ``KNOWN``, with their lines, and choices."""
    table = plain(content)
    _check_header(table, source)
    columns = named(table)
    table, lines = columns.table, line_numbers(table)
    rows = list(table.itertuples(index=False, name=None))
    used = [any(map(given, row)) and not is_remark(row) for row in rows]
    table, lines = table.loc[used, [name for name in KNOWN if name in table]], lines[used]
    if table.empty:
        raise AnnotationError("table", "it has no rows", "add a row per action instance")
    remarks = [row[0] for row in rows if is_remark(row)]
    table, names = _with_names(table, source)
    table, points = _with_decimal_points(table)
    table = _in_seconds(table, lines, columns.milliseconds)
    if remarks:
        names.append(f"{len(remarks)} line(s) as remarks, for example {shown(remarks[0])}")
    return table, lines, [*columns.choices, *names, *points]


def _check_header(table: pd.DataFrame, source: Source) -> None:
    found = ", ".join(table.columns)
    lacking = missing(table)
    if lacking == ["video"] and source.name and not _has_videos(table):
        lacking = []  # the file is named after its video
    what = [f"the column '{name}' is missing (found: {found})" for name in lacking]
    names = list(table.columns)
    what += [f"the column '{name}' is there twice" for name in KNOWN if names.count(name) > 1]
    if what:
        raise AnnotationError("header", what[0], "name the columns video,start,end,label,subset")


def _has_videos(table: pd.DataFrame) -> bool:
    """Whether a column holds files of videos, whatever it is called."""
    columns = ([cell for cell in table.iloc[:, n] if given(cell)] for n in range(table.shape[1]))
    return any(cells and all(is_video(str(cell)) for cell in cells) for cells in columns)


def _with_names(table: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, list[str]]:
    """The table with names of videos instead of their paths; if it has none, with the file's."""
    if "video" not in table:
        video = source.video("_labels")
        return table.assign(video=video), [f"the file's name as that of its video, {shown(video)}"]
    videos = [cell.strip() if isinstance(cell, str) else cell for cell in table["video"]]
    names = source.names_of_own(dict.fromkeys(each for each in videos if isinstance(each, str)))
    shorter = pd.Series([names.get(each, each) for each in videos], table.index, dtype=object)
    return table.assign(video=shorter), shortened(names)


def _with_decimal_points(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Numbers with decimal commas as usual ones. Raises AnnotationError if some have points."""
    columns = [name for name in NUMBERS if name in table]
    texts = [cell for name in columns for cell in table[name] if isinstance(cell, str)]
    commas = [cell for cell in texts if "," in cell]
    points = [cell for cell in texts if "." in cell]
    if not commas:
        return table, []
    if points:
        raise AnnotationError(
            "table",
            f"numbers have commas ({shown(commas[0])}) as well as points ({shown(points[0])})",
            "write all of them with a decimal point and without marks for thousands",
        )
    changed = {
        name: table[name].map(lambda c: c.replace(",", ".") if isinstance(c, str) else c)
        for name in columns
    }
    return table.assign(**changed), [f"decimal commas, for example {shown(commas[0])}"]


def _in_seconds(table: pd.DataFrame, lines: pd.Index, names: Iterable[str]) -> pd.DataFrame:
    """The table with these columns, which hold milliseconds, in seconds. Raises AnnotationError."""
    for name in names:
        times = [
            number_of(cell, f"line {line}, {name}", "give milliseconds") / 1000
            if given(cell) else cell
            for line, cell in zip(lines, table[name], strict=True)
        ]  # fmt: skip
        table = table.assign(**{name: times})
    return table


def _has_lengths(table: pd.DataFrame, lines: pd.Index, rate: float) -> bool:
    """Whether the column duration is of the actions instead of their videos."""
    found = False
    for line, row in zip(lines, table.to_dict("records"), strict=True):
        if not given(row["duration"]) or not given(row[column_of(row, "end")]):
            continue
        where = f"line {line}"
        fps = _first(optional_number(row.get("fps"), f"{where}, fps"), rate)
        start, end = _segment(row, fps, where)
        if abs(end - start - seconds_of(row["duration"], f"{where}, duration")) > ROUNDED:
            return False
        found = True
    return found


def _facts(row: _Row, where: str) -> _Facts:
    """What a row states of its video, in the order of ``STATED``."""
    video = text_of(row["video"], f"{where}, video", "name the video")
    subset = NO_SUBSET
    if "subset" in row:
        subset = text_of(row["subset"], f"{where}, subset", "name it, as 'training'")
    duration = seconds_of(row["duration"], where) if given(row.get("duration")) else math.nan
    return video, subset, duration, optional_number(row.get("fps"), f"{where}, fps"), math.nan


def _joined(above: _Facts, here: _Facts, where: str) -> _Facts:
    """What two rows state of one video. Raises AnnotationError if they contradict each other."""
    for name, before, now in zip(STATED[1:], above[1:], here[1:], strict=True):
        if given(before) and given(now) and before != now:
            raise AnnotationError(
                f"{where}, {name}",
                f"video '{here[0]}' has {now!r} here, {before!r} above",
                "correct one of them; a video belongs to one subset",
            )
    video, subset, duration, fps, frames = above
    return video, subset, _first(duration, here[2]), _first(fps, here[3]), frames


def _first(before: float, now: float) -> float:
    return now if math.isnan(before) else before


def _segment(row: _Row, fps: float, where: str) -> tuple[float, float]:
    """Start and end in seconds."""
    start = _time(row, "start", fps, where)
    if LENGTH in row:
        return start, start + seconds_of(row[LENGTH], f"{where}, duration")
    return start, _time(row, "end", fps, where)


def _time(row: _Row, name: str, fps: float, where: str) -> float:
    """A start or end in seconds."""
    column = column_of(row, name)
    if column == name:
        return seconds_of(row[name], f"{where}, {name}")
    frame = number_of(row[column], f"{where}, {column}", "give the number of a frame")
    if not frame.is_integer():  # 1.234 is 1234 in many countries
        raise AnnotationError(
            f"{where}, {column}", f"{shown(row[column])} is not a whole number",
            "write numbers of frames without marks for thousands",
        )  # fmt: skip
    if not fps > 0:
        raise AnnotationError(
            f"{where}, fps", "the rate is missing", "frame numbers need frames per second, in this "
            "column or as data.reading.frame_rate",
        )  # fmt: skip
    return frame / fps
