"""The table behind all annotation formats, and how their texts and numbers are read into it.

Nothing is judged here: whether segments and labels make sense is for ``problems``.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tad_blockdrop.errors import BlockDropError, printable
from tad_blockdrop.storage.spreadsheet import NUMBER
from tad_blockdrop.video.problems import ANNOTATIONS, Problem

STATED = ["video_id", "subset", "duration", "fps", "n_frames"]
INSTANCES = ["video_id", "label", "start", "end"]
LINE = "line"  # name of a table's index: the lines of the file
TITLES = "titles"  # of a table's attrs: the lines above its header
NO_SUBSET = ""  # of every video where the annotations name no subsets

_CLOCK = re.compile(r"(-?)(?:(\d+):)?(\d+):(\d\d?(?:\.\d*)?)", re.ASCII)

_SUBSETS = {
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "test": "testing",
}


class AnnotationError(BlockDropError):
    """Annotations that cannot be understood: where in the file, what is wrong, what to do."""

    def __init__(self, where: str, what: str, advice: str) -> None:
        super().__init__(where, what, advice)
        self.where, self.what, self.advice = where, what, advice

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.what}; {self.advice}")


class NoActionsError(AnnotationError):
    """A file of a known tool or dataset that lists no actions, but something else."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """What an annotation file says.

    ``stated``: video_id, subset, duration (s), fps, n_frames; one row per listed video, NaN where
    the file does not say. ``instances``: video_id, label, start, end (s). ``classes``: the labels
    in the order that the file gives them, otherwise by name: never in that of its rows.
    ``problems``: what people should know of how the file was read. ``in_frames``: the videos whose
    starts and ends are still numbers of frames, from 0, at the rate of the video's file.
    ``of_one_class``: whether other files hold the other classes of the same videos.
    """

    stated: pd.DataFrame
    instances: pd.DataFrame
    classes: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    in_frames: frozenset[str] = frozenset()
    of_one_class: bool = False

    @classmethod
    def from_rows(
        cls,
        stated: Iterable[tuple[str, str, float, float, float]],
        instances: Iterable[tuple[str, str, float, float]],
        classes: tuple[str, ...] | None = None,
        problems: Iterable[Problem] = (),
        in_frames: frozenset[str] = frozenset(),
    ) -> "Annotations":
        """The tables of rows whose values are in the order of the columns.

        Names of classes get one Unicode form (NFC).
        """
        rows = [(video, _composed(label), start, end) for video, label, start, end in instances]
        table = pd.DataFrame(rows, columns=INSTANCES).astype(
            {"video_id": "str", "label": "str", "start": float, "end": float}
        )
        if classes is None:
            classes = tuple(sorted(set(table["label"])))
        listed = pd.DataFrame(list(stated), columns=STATED)
        classes = tuple(dict.fromkeys(map(_composed, classes)))
        return cls(listed, table, classes, tuple(problems), in_frames)

    def in_seconds(self, facts: pd.DataFrame) -> pd.DataFrame:
        """The instances in seconds. ``facts``: video_id, fps and start (s) of the files.

        Of videos without facts, which cannot be used, frame numbers stay what they are.
        """
        if not self.in_frames:
            return self.instances
        known = facts[facts["video_id"].isin(self.in_frames)].set_index("video_id")
        video = self.instances["video_id"]
        rate, begin = video.map(known["fps"]).fillna(1.0), video.map(known["start"]).fillna(0.0)
        times = {name: begin + self.instances[name] / rate for name in ("start", "end")}
        return self.instances.assign(**times)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def choice_problem(choice: str) -> Problem:
    """Tells people how a file was read where something else was possible."""
    return Problem(
        "", ANNOTATIONS, "", "how the file was read", f"read with {choice}",
        "if names or times look wrong, save the file as CSV in UTF-8, with the columns "
        "video,start,end,label, commas between them and decimal points",
    )  # fmt: skip


def subset_key(name: str) -> str:
    """One spelling for a subset's names: train, Training → training; val → validation."""
    key = name.strip().casefold()
    return _SUBSETS.get(key, key)


def line_numbers(table: pd.DataFrame) -> pd.Index:
    """The line of each row in its file; of a table from elsewhere, that of a plain CSV file."""
    return table.index if table.index.name == LINE else pd.RangeIndex(2, len(table) + 2)


def is_remark(row: Sequence[Any]) -> bool:
    """Whether a row of a table is a remark between the others: ``# not sure, see the notes``."""
    first, *others = row
    if not isinstance(first, str) or not first.startswith("#"):
        return False
    if not any(map(given, others)):
        return True
    timed = pd.to_numeric(pd.Series(others), errors="coerce").notna().any()
    return first.startswith("# ") and not timed  # else an action in a video that is called so


def given(value: Any) -> bool:
    """Whether a cell holds anything: no empty text, no None, no NaN."""
    return value != "" and not (pd.api.types.is_scalar(value) and pd.isna(value))


def text_of(value: object, where: str, advice: str) -> str:
    """A text without surrounding blanks. Raises AnnotationError where there is none."""
    if isinstance(value, int) and not isinstance(value, bool):  # a CSV reader took 007 for 7
        value = str(value)
    if isinstance(value, str) and value.strip():
        if printable(value) != value:
            raise AnnotationError(
                where, f"{shown(value)} holds half a character", "write the file as UTF-8"
            )
        return value.strip()
    what = f"it is {shown(value)}, not a text" if given(value) else "it is missing"
    raise AnnotationError(where, what, advice)


def number_of(value: object, where: str, advice: str = "give a number, as 12.5") -> float:
    """A finite number, also one written as text. Raises AnnotationError."""
    number = math.nan
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        number = float(value)
    elif not isinstance(value, bool | str):
        with suppress(TypeError, ValueError, OverflowError):
            number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise AnnotationError(where, f"{shown(value)} is not a number", advice)
    return number


def seconds_of(value: object, where: str) -> float:
    """A time in seconds: a number, or a text as 12.5, 01:02:03.5 or 02:03.5 (m:s).

    Raises AnnotationError.
    """
    if isinstance(value, str) and ":" in value:
        clock = _CLOCK.fullmatch(value.strip())
        if clock is not None:
            sign, hours, minutes, seconds = clock[1], clock[2], int(clock[3]), float(clock[4])
            if seconds < 60 and (hours is None or minutes < 60):
                time = 3600 * int(hours or 0) + 60 * minutes + seconds
                return -time if sign else time
        advice = "give hours:minutes:seconds, minutes:seconds, or seconds alone, as 12.5"
        raise AnnotationError(where, f"{shown(value)} is not a time", advice)
    return number_of(value, where, "give seconds, as 12.5, or hours:minutes:seconds")


def optional_number(value: object, where: str) -> float:
    """A number, or NaN where there is none. Raises AnnotationError."""
    return number_of(value, where) if given(value) else math.nan


def shown(value: object) -> str:
    """A value as messages show it: at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
