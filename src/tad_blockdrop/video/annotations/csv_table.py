"""A CSV table with a row per action."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    AnnotationError,
    Annotations,
    given,
    number_of,
    optional_number,
    text_of,
)

REQUIRED = ("video", "start", "end", "label")


class CSVTable:
    """The columns video, start, end, label and, optionally, subset, duration, fps.

    Start and end are in seconds. A video without actions has one row in which start, end and label
    are empty.
    """

    name = "CSV table"
    layout = "the columns video,start,end,label,subset"

    def recognise(self, raw: object) -> bool:
        """Whether it has three of the four required columns: ``read`` then names the fourth."""
        return isinstance(raw, pd.DataFrame) and len(set(REQUIRED) & set(_plain(raw))) >= 3

    def read(self, raw: pd.DataFrame) -> Annotations:
        """The tables of a loaded file. Raises AnnotationError."""
        table = _plain(raw)
        missing = [name for name in REQUIRED if name not in table]
        if missing:
            raise AnnotationError(
                "header",
                f"the column '{missing[0]}' is missing (found: {', '.join(map(str, raw.columns))})",
                "name the columns video,start,end,label,subset",
            )
        if table.empty:
            raise AnnotationError("table", "it has no rows", "add a row per action instance")
        stated: dict[str, tuple[str, str, float, float, float]] = {}
        instances = []
        for number, row in enumerate(table.to_dict("records"), start=2):  # line 1 is the header
            where = f"line {number}"
            facts = _facts(row, where)
            video, subset, *_ = facts
            known = stated.setdefault(video, facts)
            if known[1] != subset:
                raise AnnotationError(
                    f"{where}, subset",
                    f"video '{video}' is in '{subset}' here, in '{known[1]}' above",
                    "a video belongs to one subset",
                )
            if any(given(row[name]) for name in ("start", "end", "label")):
                label = text_of(row["label"], f"{where}, label", "name the action")
                start, end = (number_of(row[name], f"{where}, {name}") for name in ("start", "end"))
                instances.append((video, label, start, end))
        return Annotations.from_rows(stated.values(), instances)


def _plain(raw: pd.DataFrame) -> pd.DataFrame:
    """The table with its column names in small letters, without blanks and byte order mark."""
    return raw.rename(columns=lambda name: str(name).removeprefix("\ufeff").strip().casefold())


def _facts(row: Mapping[Hashable, Any], where: str) -> tuple[str, str, float, float, float]:
    """What a row states of its video, in the order of ``STATED``."""
    video = text_of(row["video"], f"{where}, video", "name the video")
    subset = NO_SUBSET
    if "subset" in row:
        subset = text_of(row["subset"], f"{where}, subset", "name it, as 'training'")
    duration, fps = (optional_number(row.get(k), f"{where}, {k}") for k in ("duration", "fps"))
    return video, subset, duration, fps, math.nan
