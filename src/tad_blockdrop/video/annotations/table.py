"""The table behind all annotation formats, and how their texts and numbers are read into it.

Nothing is judged here: whether segments and labels make sense is for ``problems``.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tad_blockdrop.errors import BlockDropError, printable

STATED = ["video_id", "subset", "duration", "fps", "n_frames"]
INSTANCES = ["video_id", "label", "start", "end"]
NO_SUBSET = ""  # of every video where the annotations name no subsets

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


@dataclass(frozen=True, eq=False)
class Annotations:
    """What an annotation file says.

    ``stated``: video_id, subset, duration (s), fps, n_frames; one row per listed video, NaN where
    the file does not say. ``instances``: video_id, label, start, end (s). ``classes``: the labels
    in the order that the file gives them, otherwise by name: never in that of its rows.
    """

    stated: pd.DataFrame
    instances: pd.DataFrame
    classes: tuple[str, ...]

    @classmethod
    def from_rows(
        cls,
        stated: Iterable[tuple[str, str, float, float, float]],
        instances: Iterable[tuple[str, str, float, float]],
        classes: tuple[str, ...] | None = None,
    ) -> "Annotations":
        """The tables of rows whose values are in the order of the columns."""
        table = pd.DataFrame(list(instances), columns=INSTANCES).astype(
            {"video_id": "str", "label": "str", "start": float, "end": float}
        )
        if classes is None:
            classes = tuple(sorted(set(table["label"])))
        return cls(pd.DataFrame(list(stated), columns=STATED), table, classes)


def subset_key(name: str) -> str:
    """One spelling for a subset's names: train, Training → training; val → validation."""
    key = name.strip().casefold()
    return _SUBSETS.get(key, key)


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


def number_of(value: object, where: str) -> float:
    """A finite number, also one written as text. Raises AnnotationError."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AnnotationError(where, f"{shown(value)} is not a number", "give seconds, as 12.5")
    return number


def optional_number(value: object, where: str) -> float:
    """A number, or NaN where there is none. Raises AnnotationError."""
    return number_of(value, where) if given(value) else math.nan


def shown(value: object) -> str:
    """A value as messages show it: at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
