"""ELAN's export as tab-delimited text, or as CSV, of one document or of several."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.layers import chosen_layers
from tad_blockdrop.video.annotations.media import is_video
from tad_blockdrop.video.annotations.table import (
    TITLES,
    AnnotationError,
    Annotations,
    line_numbers,
    seconds_of,
)

_UNITS = {"ss.msec": 1.0, "msec": 0.001, "hh:mm:ss.ms": 1.0}  # in s; the first that is there counts
_MEDIUM = re.compile(r"#(.*?)(?: -- offset: .*)?")  # a line that names the file of what follows
_DOCUMENT = re.compile(r"\.eaf$", re.IGNORECASE)
_Span = tuple[float, float]


class _Entry(NamedTuple):
    """An annotation. ``path``: of its document or medium, empty where the export names none."""

    path: str
    tier: str
    label: str
    span: _Span


@dataclass(frozen=True)
class _Columns:
    """What the columns are, by their places.

    ``tier``: None where each tier has its own of the columns ``values``. ``path``: of documents.
    """

    names: Sequence[str]
    begin: int
    end: int
    unit: float
    tier: int | None
    values: Sequence[int]
    path: int | None


class ElanText:
    """A table with ELAN's header, as it writes it with a column for each tier.

    The header is in ELAN's language, so times are known by their units and their order: begin, end,
    duration. An export without it does not say what its columns are. Where somebody has put one
    above annotations that stand one below the other, the first column is the tier.
    """

    name = "ELAN text"
    layout = "the tab-delimited export with a column for each tier ('Begin Time - ss.msec', ...)"

    def recognise(self, content: object) -> bool:
        """Whether it has columns of times in the units that ELAN offers."""
        return isinstance(content, pd.DataFrame) and bool(_times(list(map(str, content))))

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The annotations of all tiers, or of the chosen one. Raises AnnotationError."""
        columns = _columns(content)
        found = Collected(source)
        entries = list(_entries(content, columns, found))
        counts = Counter(entry.tier for entry in entries)
        own = () if columns.tier is not None else (columns.names[place] for place in columns.values)
        tiers = chosen_layers(dict.fromkeys(own, 0) | counts, "tier", found)
        names = found.names(dict.fromkeys(entry.path for entry in entries if entry.path))
        spans: dict[tuple[str, str, str], list[_Span]] = defaultdict(list)
        for entry in entries:
            video = names.get(entry.path) or source.video()
            found.video(video)
            if entry.tier in tiers:
                spans[video, entry.tier, entry.label].append(entry.span)
        parts = sum(map(len, spans.values()))
        if columns.tier is None:
            spans = {key: _whole(each) for key, each in spans.items()}
        for (video, _, label), each in spans.items():
            for start, end in each:
                found.action(video, label, start, end)
        if joined := parts - len(found.rows):
            found.note(
                "", "joined annotations", f"{joined} annotation(s) touch another one of their tier "
                "and value, and were joined with it: the export cuts annotations at those of other "
                "tiers", "give the .eaf files instead if they are annotations of their own",
            )  # fmt: skip
        return found.annotations()


def _times(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Of each time, in the order of the columns, the places of its units."""
    times: dict[str, dict[str, int]] = defaultdict(dict)
    for place, name in enumerate(names):
        time, _, unit = name.strip().rpartition(" - ")
        if time and unit in _UNITS:
            times[time][unit] = place
    return times


def _columns(table: pd.DataFrame) -> _Columns:
    """What the columns are. Raises AnnotationError."""
    names = [str(name).strip() for name in table]
    times = _times(names)
    if len(times) < 2 or "Duration" in list(times)[:2]:
        raise AnnotationError(
            "header", f"of times it has {' and '.join(times)} only",
            "export begin time and end time from ELAN",
        )  # fmt: skip
    begin, end, *_ = times.values()
    unit = next((unit for unit in _UNITS if unit in begin and unit in end), None)
    if unit is None:
        raise AnnotationError("header", "begin and end have no unit in common", "export them again")
    places = [place for units in times.values() for place in units.values()]
    after = range(max(places) + 1, len(names))
    paths = [place for place in after if _holds_paths(table.iloc[:, place])]
    values = [place for place in after if place not in paths]
    if not values:
        raise AnnotationError("header", "no column follows the times", "choose tiers in the export")
    return _Columns(
        names, begin[unit], end[unit], _UNITS[unit],
        0 if min(places) > 0 else None, values, paths[-1] if paths else None,
    )  # fmt: skip


def _holds_paths(column: pd.Series) -> bool:
    """Whether it names files, as the last columns do in an export of several documents."""
    cells = [str(cell).strip() for cell in column if str(cell).strip()]
    return bool(cells) and all(_DOCUMENT.search(cell) or is_video(cell) for cell in cells)


def _entries(table: pd.DataFrame, columns: _Columns, found: Collected) -> Iterator[_Entry]:
    """The annotations of all rows. Raises AnnotationError."""
    above: list[str] = table.attrs.get(TITLES, [])
    path = _medium(above)
    for number, row in zip(line_numbers(table), table.itertuples(index=False), strict=True):
        cells = [str(cell).strip() for cell in row]
        if cells[0].startswith("#") and not any(cells[1:]):
            above = [*above, cells[0]]
            path = _medium(above)
            continue
        above = []
        start, end = (
            columns.unit
            * seconds_of(cells[place].replace(",", "."), f"line {number}, {columns.names[place]}")
            for place in (columns.begin, columns.end)
        )
        here = path if columns.path is None else _DOCUMENT.sub("", cells[columns.path])
        labels = list(_labels(cells, columns))
        if not labels:
            found.left_out("annotations without a value, of which the export does not say the tier",
                           "give them values in ELAN", f"line {number}")  # fmt: skip
        for tier, label in labels:
            yield _Entry(here, tier, label, (start, end))


def _labels(cells: Sequence[str], columns: _Columns) -> Iterator[tuple[str, str]]:
    """Tier and class of each annotation in a row: its value, or the tier's name if it has none."""
    if columns.tier is not None:
        named = [(cells[columns.tier], cells[columns.values[0]])]
    else:
        named = [(columns.names[place], cells[place]) for place in columns.values]
    for tier, value in named:
        if value or (tier and len(named) == 1):
            yield tier, value or tier


def _medium(lines: Iterable[str]) -> str:
    """The path in lines that begin with ``#``: a video's rather than a document's."""
    paths = [named[1].strip() for line in lines if (named := _MEDIUM.fullmatch(line.strip()))]
    return _DOCUMENT.sub("", next(filter(is_video, paths), paths[0] if paths else ""))


def _whole(parts: Iterable[_Span]) -> list[_Span]:
    """Annotations of one tier and value, as they were before the export.

    Annotations of a tier do not overlap, so those that do, or that touch, are parts of one: by
    default the export repeats values in the rows of other tiers' annotations, cut to these.
    """
    whole: list[_Span] = []
    for part in sorted(parts):
        if whole and part[0] <= whole[-1][1]:
            start, end = whole.pop()
            whole.append((start, max(end, part[1])))
        else:
            whole.append(part)
    return whole
