"""Reading annotations into two tables, whichever of the usual files they come in.

``stated``: video_id, subset, duration (s), fps, n_frames; one row per listed video, NaN where the
file does not say. ``instances``: video_id, label, start, end (s). Nothing is judged here: whether
segments and labels make sense is for ``problems``.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tad_blockdrop.errors import BlockDropError, printable

STATED = ["video_id", "subset", "duration", "fps", "n_frames"]
INSTANCES = ["video_id", "label", "start", "end"]
NO_SUBSET = ""  # of all videos of a CSV file without that column
LAYOUT = '{"database": {video: {"subset": ..., "annotations": [{"segment": [s, e], "label": n}]}}}'

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
    """The two tables, and the classes in order.

    ``classes`` are in the order of the file's own ``label_id`` where each class has one, otherwise
    in the order in which they first appear.
    """

    stated: pd.DataFrame
    instances: pd.DataFrame
    classes: tuple[str, ...]


def subset_key(name: str) -> str:
    """One spelling for a subset's names: train, Training → training; val → validation."""
    key = name.strip().casefold()
    return _SUBSETS.get(key, key)


def read_annotations(raw: Mapping[str, Any] | pd.DataFrame) -> Annotations:
    """Tables from a parsed JSON file or a CSV file's DataFrame.

    JSON: the ActivityNet layout as published, as OpenTAD extends it (``frame``, ``fps``) or as
    ActionFormer does (``label_id``, ``segment(frames)``, which is not used). CSV: the columns
    video, start, end, label and, optionally, subset, duration, fps; one row per instance, a video
    without any has one row with these three empty. Raises AnnotationError.
    """
    try:
        return _read_table(raw) if isinstance(raw, pd.DataFrame) else _read_json(raw)
    except AnnotationError as error:
        where = f"in the annotations, {error.where}"
        raise AnnotationError(where, error.what, error.advice) from None


def read_classes(text: str) -> tuple[str, ...]:
    """Class names from a text file: one a line, in order; empty lines do not count."""
    lines = text.removeprefix("\ufeff").splitlines()
    names = [_text(line, "the class list", "name the class") for line in lines if line.strip()]
    if not names:
        raise AnnotationError("the class list", "it is empty", "write one class a line")
    for name in names:
        if names.count(name) > 1:
            raise AnnotationError(
                "the class list", f"'{name}' is listed twice", "remove one of the two lines"
            )
    return tuple(names)


def _read_json(raw: object) -> Annotations:
    if not isinstance(raw, Mapping) or "database" not in raw:
        found = ", ".join(map(str, raw)) if isinstance(raw, Mapping) else type(raw).__name__
        advice = f"annotations look like {LAYOUT}"
        if isinstance(raw, Mapping) and "results" in raw:
            advice = "this is a file of predictions, not of annotations"
        raise AnnotationError("top level", f"there is no 'database' (found: {found})", advice)
    database = _mapping(raw["database"], "database")
    if not database:
        raise AnnotationError("database", "it lists no video", "add your videos")
    stated, instances = [], []
    ids: dict[str, set[int | None]] = {}
    for key, value in database.items():
        where = f"database.{key}"
        video = _text(key, where, "name the video")
        entry = _mapping(value, where)
        stated.append(
            (
                video,
                _text(entry.get("subset"), f"{where}.subset", "name it, as 'training'"),
                _optional_number(entry, "duration", where),
                _optional_number(entry, "fps", where),
                _optional_number(entry, "frame", where),
            )
        )
        for label, label_id, start, end in _json_instances(entry, where):
            instances.append((video, label, start, end))
            ids.setdefault(label, set()).add(label_id)
    return Annotations(
        pd.DataFrame(stated, columns=STATED),
        _instances_table(instances),
        _in_order(ids),
    )


def _json_instances(
    entry: Mapping[str, Any], where: str
) -> Iterator[tuple[str, int | None, float, float]]:
    annotations = entry.get("annotations", [])
    if not isinstance(annotations, list):
        raise AnnotationError(f"{where}.annotations", "it is not a list", "write [...]")
    for number, value in enumerate(annotations):
        here = f"{where}.annotations[{number}]"
        item = _mapping(value, here)
        segment = item.get("segment")
        if not isinstance(segment, list) or len(segment) != 2:
            raise AnnotationError(
                f"{here}.segment",
                f"it is {_shown(segment)}" if "segment" in item else "it is missing",
                "give [start, end] in seconds",
            )
        start, end = (_number(v, f"{here}.segment[{i}]") for i, v in enumerate(segment))
        label = _text(item.get("label"), f"{here}.label", "name the action")
        label_id = item.get("label_id")
        yield label, label_id if type(label_id) is int else None, start, end


def _in_order(ids: Mapping[str, set[int | None]]) -> tuple[str, ...]:
    """Labels by their number, if each has exactly one and no two share it; else as they came."""
    numbers = {label: next(iter(found)) for label, found in ids.items() if len(found) == 1}
    given = [number for number in numbers.values() if number is not None]
    if len(given) == len(ids) == len(set(given)):
        return tuple(sorted(ids, key=lambda label: numbers[label] or 0))
    return tuple(ids)


def _read_table(raw: pd.DataFrame) -> Annotations:
    table = raw.rename(columns=lambda name: str(name).removeprefix("\ufeff").strip().casefold())
    missing = [name for name in ("video", "start", "end", "label") if name not in table]
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
        video = _text(row["video"], f"{where}, video", "name the video")
        facts = (
            video,
            _subset(row, where),
            _cell(row, "duration", where),
            _cell(row, "fps", where),
            math.nan,
        )
        known = stated.setdefault(video, facts)
        if known[1] != facts[1]:
            raise AnnotationError(
                f"{where}, subset",
                f"video '{video}' is in '{facts[1]}' here, in '{known[1]}' above",
                "a video belongs to one subset",
            )
        if any(_given(row[name]) for name in ("start", "end", "label")):
            label = _text(row["label"], f"{where}, label", "name the action")
            start, end = (_number(row[k], f"{where}, {k}") for k in ("start", "end"))
            instances.append((video, label, start, end))
    found = _instances_table(instances)
    classes = tuple(dict.fromkeys(found["label"]))
    return Annotations(pd.DataFrame(list(stated.values()), columns=STATED), found, classes)


def _instances_table(rows: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=INSTANCES)
    return table.astype({"video_id": "str", "label": "str", "start": float, "end": float})


def _subset(row: Mapping[Any, Any], where: str) -> str:
    if "subset" not in row:
        return NO_SUBSET
    return _text(row["subset"], f"{where}, subset", "name it, as 'training'")


def _cell(row: Mapping[Any, Any], key: str, where: str) -> float:
    return _number(row[key], f"{where}, {key}") if _given(row.get(key)) else math.nan


def _given(value: Any) -> bool:
    return value != "" and not (pd.api.types.is_scalar(value) and pd.isna(value))


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise AnnotationError(where, f"it is {_shown(value)}", f"write an object, as in {LAYOUT}")


def _text(value: object, where: str, advice: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):  # a CSV reader took 007 for 7
        value = str(value)
    if isinstance(value, str) and value.strip():
        if printable(value) != value:
            raise AnnotationError(
                where, f"{_shown(value)} holds half a character", "write the file as UTF-8"
            )
        return value.strip()
    what = f"it is {_shown(value)}, not a text" if _given(value) else "it is missing"
    raise AnnotationError(where, what, advice)


def _optional_number(entry: Mapping[str, Any], key: str, where: str) -> float:
    return math.nan if entry.get(key) is None else _number(entry[key], f"{where}.{key}")


def _number(value: object, where: str) -> float:
    try:
        # Text is for CSV files read as text; in JSON it is as clear.
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AnnotationError(where, f"{_shown(value)} is not a number", "give seconds, as 12.5")
    return number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
