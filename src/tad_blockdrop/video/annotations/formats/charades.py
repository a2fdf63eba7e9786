"""Charades' tables: a row per video, in which one column lists its actions."""

import pandas as pd

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


class Charades:
    """``Charades_v1_train.csv`` and its like; classes are numbers such as c092.

    The subset of its videos is that of the file's name.
    """

    name = "Charades table"
    layout = "Charades_v1_train.csv"

    def recognise(self, content: object) -> bool:
        """Whether it has the columns of ids, scripts and actions."""
        return isinstance(content, pd.DataFrame) and {"id", "script", "actions"} <= set(content)

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The tables of all rows. Raises AnnotationError."""
        found = Collected(source)
        subset = source.subset()
        for line, row in zip(line_numbers(content), content.to_dict("records"), strict=True):
            where = f"line {line}"
            video = text_of(row["id"], f"{where}, id", "name the video")
            found.video(video, subset, optional_number(row.get("length"), f"{where}, length"))
            for part in str(row["actions"]).split(";") if given(row["actions"]) else ():
                words = part.split()
                if not words:  # after a last semicolon
                    continue
                if len(words) != 3:
                    raise AnnotationError(
                        f"{where}, actions", f"{shown(part)} is no class, start and end",
                        "write actions as 'c092 11.90 21.20;c147 0.00 12.60'",
                    )  # fmt: skip
                start, end = (seconds_of(word, f"{where}, actions") for word in words[1:])
                found.action(video, words[0], start, end)
        return found.annotations(sorted({label for _, label, _, _ in found.rows}))
