"""EPIC-KITCHENS' tables: a row per narrated action, with its verb and its noun."""

import pandas as pd

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    line_numbers,
    seconds_of,
    text_of,
)

_COLUMNS = {"video_id", "start_timestamp", "stop_timestamp", "verb", "noun"}


class EpicKitchens:
    """``EPIC_100_train.csv`` and its like. The class is the verb, or ``data.reading.labels``.

    That may be any column, or ``verb noun`` for both. The subset is that of the file's name.
    """

    name = "EPIC-KITCHENS table"
    layout = "EPIC_100_train.csv"

    def recognise(self, content: object) -> bool:
        """Whether it has the columns of times, verbs and nouns."""
        return isinstance(content, pd.DataFrame) and set(content) >= _COLUMNS

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The tables of all rows. Raises AnnotationError."""
        found = Collected(source)
        chosen = (source.config.labels or "verb").split()
        missing = [name for name in chosen if name not in content]
        if missing:
            raise AnnotationError(
                "header", f"there is no column '{missing[0]}'", "correct data.reading.labels"
            )
        subset = source.subset()
        for line, row in zip(line_numbers(content), content.to_dict("records"), strict=True):
            where = f"line {line}"
            video = text_of(row["video_id"], f"{where}, video_id", "name the video")
            label = " ".join(
                text_of(row[name], f"{where}, {name}", "name the action") for name in chosen
            )
            start, end = (
                seconds_of(row[name], f"{where}, {name}")
                for name in ("start_timestamp", "stop_timestamp")
            )
            found.video(video, subset)
            found.action(video, label, start, end)
        if source.config.labels is None:
            found.note("", "classes", "the class of an action is its verb",
                       "noun, or 'verb noun', as data.reading.labels takes others")  # fmt: skip
        return found.annotations()
