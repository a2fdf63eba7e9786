"""Tables that BORIS exports: its tabular events, and its aggregated ones, of all versions.

Their column of media names the file that an event lies in without regard to the time offset, so
times are placed by the queue of the column ``Source`` instead. States are paired by what each row
says that it is: a part of an export may begin with the end of a state.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tad_blockdrop.video.annotations.formats.boris_observation import (
    Change,
    Medium,
    Observation,
    collect,
)
from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    given,
    line_numbers,
    optional_number,
    seconds_of,
    shown,
    text_of,
)

_ALWAYS = {"observation id", "behavior", "behavior type"}
_TABULAR, _AGGREGATED = {"time"}, {"start (s)", "stop (s)"}
_MEDIA = ("media file name", "media file", "media file path")
_ABOUT = {
    "observation id", "observation type", "source", "time offset (s)", "media duration (s)",
    "total length", "fps", "fps (frame/s)", *_MEDIA,
}  # fmt: skip
"""The columns that come before those of a project's own variables, which have any name."""
_PLAYER = re.compile(r"(?:^|[|\s])player #(\d+):")
_LIVE = ("", "na", "live", "live observation", "not found")
_NO_MEDIA = ("live", "from")  # how types of observations begin that have no media
_OLD_HEADER = {"time", "media file path", "behavior", "status"}
_Row = Mapping[Hashable, Any]


class BorisTable:
    """A row per event (START, STOP or POINT), or per state and point with start and stop."""

    name = "BORIS export"
    layout = "tabular or aggregated events as CSV or TSV"

    def recognise(self, content: object) -> bool:
        """Whether it has BORIS's columns, in versions before 8 below the lines of its head."""
        if not isinstance(content, pd.DataFrame) or content.empty:
            return False
        columns = _names(content.columns)
        new = columns >= _ALWAYS and (columns >= _TABULAR or columns >= _AGGREGATED)
        return new or _is_bare(columns) or _old_header(content) is not None

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The tables of all observations of media. Raises AnnotationError."""
        found = Collected(source)
        table = _as_new(content, found)
        table = table.set_axis([str(name).strip().casefold() for name in table], axis=1)
        table = _with_media(_without_variables(_without_doubles(table, found)))
        observations: dict[str, Observation] = {}
        changes: dict[str, list[Change]] = {}
        for line, row in zip(line_numbers(table), table.to_dict("records"), strict=True):
            where = f"line {line}"
            name = text_of(row["observation id"], f"{where}, Observation id", "name it")
            if name not in observations:
                observations[name] = _observation(name, row, where)
            if not observations[name].media:
                found.left_out("events of observations without media (live, or of pictures)",
                               "observe a video file", f"'{name}'")  # fmt: skip
            elif change := _code(observations[name], row, where):
                changes.setdefault(name, []).append(change)
        used = [each for each in observations.values() if each.media]
        if not used:
            raise AnnotationError(
                "table", f"none of {len(observations)} observation(s) has media",
                "observe video files in BORIS",
            )  # fmt: skip
        for name, found_in in changes.items():
            # At one instant states end before others begin, in whatever order the rows are.
            in_order = sorted(found_in, key=lambda change: (change[1], change[2] is True))
            observations[name].pair(in_order)
        collect(used, found)
        return found.annotations()


def _code(observation: Observation, row: _Row, where: str) -> Change | None:
    """Put a row into its observation; of tabular exports, the beginning or end of a state."""
    code = text_of(row["behavior"], f"{where}, Behavior", "name the behaviour")
    subject = str(row.get("subject", ""))
    modifiers = [
        str(cell) for name, cell in row.items() if str(name).startswith("modifier") and given(cell)
    ]
    observation.modified += any(text not in ("", "None", "NA") for text in modifiers)
    observation.subjects.add(subject)
    kind = str(row["behavior type"]).strip().casefold()
    column = "start (s)" if "start (s)" in row else "time"
    start = _seconds(row[column], f"{where}, {column}")
    if kind == "point":
        observation.points.append((code, start))
    elif column == "time":
        return (subject, code, "|".join(modifiers)), start, _begins(kind, where)
    elif "stop (s)" not in row:
        raise AnnotationError(
            "table", "there is a column 'Start (s)', but no 'Stop (s)'", "export again from BORIS"
        )
    else:
        end = _seconds(row["stop (s)"], f"{where}, stop (s)")
        observation.states.append((code, start, end))
    return None


def _begins(status: str, where: str) -> bool | None:
    """Whether a state begins with an event, or ends; None if it says neither, as in a project.

    Raises AnnotationError.
    """
    if status == "state":
        return None
    if status not in ("start", "stop"):
        raise AnnotationError(
            where, f"the event is {shown(status)}, neither START, STOP nor POINT",
            "export the tabular events again from BORIS",
        )  # fmt: skip
    return status == "start"


def _observation(name: str, row: _Row, where: str) -> Observation:
    """The observation of its first row, without events. Raises AnnotationError."""
    media = _first_player(str(row.get("source", "")))
    if not media:
        media = next((str(row[column]) for column in _MEDIA if given(row.get(column))), "")
    paths = _parts(media)
    kind = str(row.get("observation type", "")).strip().casefold()
    # Version 8 calls the time between the first and the last event "Total length".
    lengths = _parts(row.get("media duration (s)", "" if kind else row.get("total length")))
    if len(paths) > 1 and len(lengths) == 1 and "media duration (s)" in row:
        paths = [media]  # a path with a semicolon
    rates = _parts(row.get("fps (frame/s)", row.get("fps")))
    if media.casefold() in _LIVE or kind.startswith(_NO_MEDIA):
        paths = []
    offset = row.get("time offset (s)")
    return Observation(
        name,
        [
            Medium(path, _number(lengths, n, len(paths), where), _number(rates, n, 0, where))
            for n, path in enumerate(paths)
        ],
        _seconds(offset, f"{where}, Time offset (s)") if given(offset) else 0.0,
    )


def _first_player(source: str) -> str:
    """What player 1 plays, of ``player #1:a.mp4;b.mp4|player #2:c.mp4``.

    Version 8 writes ``player #1: a.mp4; b.mp4; player #2: c.mp4;``.
    """
    parts = _PLAYER.split(source)
    players = dict(zip(parts[1::2], parts[2::2], strict=False))
    return players.get("1", "" if players else source).strip().removesuffix(";")


def _parts(cell: object) -> list[str]:
    """The values of player 1's media, in order."""
    text = _first_player(str(cell)) if given(cell) else ""
    return [part.strip() for part in text.split("|")[0].split(";")]


def _number(parts: list[str], place: int, count: int, where: str) -> float:
    """A length or rate; NaN where BORIS has none, or only the sum of all."""
    known = len(parts) == count or count == 0
    cell = parts[place] if known and place < len(parts) else ""
    return optional_number("" if cell == "NA" else cell.replace(",", "."), where)


def _seconds(cell: object, where: str) -> float:
    """A time, which BORIS writes as seconds or as hours, minutes and seconds."""
    return seconds_of(cell.replace(",", ".") if isinstance(cell, str) else cell, where)


def _without_doubles(table: pd.DataFrame, found: Collected) -> pd.DataFrame:
    """The table with each row once: exports that were joined may hold an event twice."""
    doubled = table.duplicated()
    if doubled.any():
        found.left_out(
            "rows that repeat another one in all columns", "correct the table if they are meant",
            f"line {line_numbers(table)[doubled.to_numpy()][0]}", int(doubled.sum()),
        )  # fmt: skip
    return table[~doubled]


def _without_variables(table: pd.DataFrame) -> pd.DataFrame:
    """The table without variables of the project that are called like a column of BORIS."""
    first, last = (table.columns.duplicated(keep=side) for side in ("first", "last"))
    return table.loc[:, ~np.where(table.columns.isin(_ABOUT), first, last)]


def _with_media(table: pd.DataFrame) -> pd.DataFrame:
    """With the column ``source``: before version 8, a row names only the file that it begins in."""
    column = next((name for name in _MEDIA if name in table), None)
    if "source" in table or column is None:
        return table
    files = table.groupby("observation id")[column]
    queue = files.transform(lambda names: ";".join(dict.fromkeys(map(str, names))))
    return table.assign(source=queue)


def _old_header(content: pd.DataFrame) -> int | None:
    """The row in which the columns of an export before version 8 are named."""
    if str(content.columns[0]).strip().casefold() != "observation id" or len(content.columns) < 2:
        return None
    rows = (content.iloc[place] for place in range(min(len(content), 500)))
    return next((place for place, row in enumerate(rows) if _names(row) >= _OLD_HEADER), None)


def _names(cells: Iterable[object]) -> set[str]:
    return {str(cell).strip().casefold() for cell in cells}


def _as_new(content: pd.DataFrame, found: Collected) -> pd.DataFrame:
    """An export before version 8, whose first lines are about its one observation, as a new one."""
    place = _old_header(content)
    if place is not None:
        facts = list(_pairs(content.iloc[:place]))
        names = [str(cell).strip().casefold() for cell in content.iloc[place]]
        table = content.iloc[place + 1 :].set_axis(names, axis=1)
        about = {
            "observation id": content.columns[1],
            "time offset (s)": dict(facts).get("time offset (s)", ""),
            "source": ";".join(path for name, path in facts if name == "player #1"),
        }
        _compare_media(table["media file path"], about["source"], found)
    elif _is_bare(_names(content.columns)):
        table = content.set_axis([str(name).strip().casefold() for name in content], axis=1)
        about = {"observation id": "the table"}
        found.note(
            "", "how the file was read", "the lines above the header of the export are missing: "
            "its times are taken for seconds of the video, without an offset",
            "if the observation had a time offset, export it again from BORIS",
        )  # fmt: skip
    else:
        return content
    return table.rename(columns={"status": "behavior type"}).assign(**about)


def _is_bare(columns: set[str]) -> bool:
    """Whether these are the columns of an old export whose lines above the header are missing."""
    return columns >= _OLD_HEADER and "observation id" not in columns


def _compare_media(paths: pd.Series, queue: str, found: Collected) -> None:
    """Tell where the events of an export name other files than its head, which counts."""
    head, events = ({_file(path) for path in each} for each in (queue.split(";"), paths))
    if queue and len(paths) and head.isdisjoint(events):
        found.note(
            "", "names of videos", f"the head of the export says that player 1 is '{min(head)}', "
            f"which no event names (the first '{_file(paths.iloc[0])}'): the head was believed",
            "correct the names in the file if the events are right",
        )  # fmt: skip


def _file(path: object) -> str:
    return str(path).replace("\\", "/").rpartition("/")[2].strip()


def _pairs(rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    for first, second, *_ in rows.itertuples(index=False, name=None):
        yield str(first).strip().casefold(), str(second)
