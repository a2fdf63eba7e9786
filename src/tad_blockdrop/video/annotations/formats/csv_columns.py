"""Which column of a table of one's own is which, in the words that people and programs use."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tad_blockdrop.storage.spreadsheet import restore_cells
from tad_blockdrop.video.annotations.table import AnnotationError

COLUMNS = ("video", "start", "end", "label")
FRAMES = {"start": "start_frame", "end": "end_frame"}  # instead of times, with the column fps
LENGTH = "length of the actions"  # the column duration where no other says when they end

_SYNONYMS = {
    "video": ("filename", "file_name", "file", "video_id", "video_name"),
    "start": ("start_time", "onset", "begin"),
    "end": ("end_time", "stop", "offset"),
    "label": ("behavior", "behaviour", "event", "event_label", "class", "action"),
}
_TIMES = ("start", "end", "duration")  # whose columns may have a unit behind their names
_MEANINGS = {word: name for name, words in _SYNONYMS.items() for word in (name, *words)}
_MEANINGS["duration"] = "duration"

_SECONDS = r"s|secs?|seconds"
_MILLISECONDS = r"ms|msecs?|milliseconds"
_IN_BRACKETS = r"\s*[(\[]\s*({})\.?\s*[)\]]$"
_UNIT = re.compile(f"(.+)_(?:{_SECONDS}|({_MILLISECONDS}))")


@dataclass(frozen=True, eq=False)
class Named:
    """A table whose columns have the names of ``COLUMNS``, or of ``FRAMES`` and ``LENGTH``.

    ``milliseconds``: the columns whose times are not seconds. ``choices``: what was taken for what.
    """

    table: pd.DataFrame
    milliseconds: tuple[str, ...]
    choices: list[str]


def plain(raw: pd.DataFrame) -> pd.DataFrame:
    """The table with its column names in small letters, and names as they were before an export."""
    return restore_cells(raw.set_axis([_plain(str(name)) for name in raw], axis=1))


def _plain(name: str) -> str:
    name = name.removeprefix("\ufeff").strip().casefold()
    name = re.sub(_IN_BRACKETS.format(_SECONDS), "", name)
    name = re.sub(_IN_BRACKETS.format(_MILLISECONDS), "_ms", name)
    return re.sub(r"[\s-]+", "_", name)


def column_of(table: pd.DataFrame | Mapping[Hashable, Any], name: str) -> str:
    """Where a start or end stands: in the column of that name, or in that of its frame."""
    frame = FRAMES.get(name, name)
    return frame if name not in table and frame in table else name


def is_ours(table: pd.DataFrame) -> bool:
    """Whether a ``plain`` table has three of ``COLUMNS``, or other words for all but the video."""
    own = [name for name in COLUMNS if column_of(table, name) in table]
    return len(own) >= len(COLUMNS) - 1 or set(missing(table)) <= {"video"}


def missing(table: pd.DataFrame) -> list[str]:
    """The columns that a ``plain`` table lacks; a duration stands for an end."""
    without = [name for name in COLUMNS if not _candidates(table, name)]
    return [name for name in without if name != "end" or not _candidates(table, "duration")]


def named(table: pd.DataFrame) -> Named:
    """A ``plain`` table with columns of known names. Raises AnnotationError where two fit one."""
    names: dict[str, str] = {}
    columns = {name: column_of(table, name) for name in COLUMNS}
    if not _candidates(table, "end"):
        columns["duration"] = LENGTH
    for name, own in columns.items():
        found = _candidates(table, name)
        if len(found) > 1:
            raise AnnotationError(
                "header", f"the columns {' and '.join(map(repr, found))} may both be the {name}",
                f"call the one that is meant '{name}'",
            )  # fmt: skip
        if found and found[0] != own:
            names[found[0]] = own
    milliseconds = tuple(name for column, name in names.items() if _in_milliseconds(column))
    taken = [
        f"{column!r} as {name}{' in milliseconds' if name in milliseconds else ''}"
        for column, name in names.items()
    ]
    choices = [f"the column {', '.join(taken)}"] if taken else []
    return Named(table.rename(columns=names), milliseconds, choices)


def _candidates(table: pd.DataFrame, name: str) -> list[str]:
    """The column of that name, otherwise those that may be meant by it."""
    own = column_of(table, name)
    return [own] if own in table else [each for each in map(str, table) if _meaning(each) == name]


def _meaning(column: str) -> str | None:
    """The name that a column would have by our words, if it has one."""
    unit = _UNIT.fullmatch(column)
    name = _MEANINGS.get(column if unit is None else unit[1])
    return name if unit is None or name in _TIMES else None


def _in_milliseconds(column: str) -> bool:
    unit = _UNIT.fullmatch(column)
    return unit is not None and unit[2] is not None
