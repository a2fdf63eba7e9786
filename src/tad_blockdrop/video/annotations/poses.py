"""Tables of poses: hundreds of columns of numbers, of which the last few are behaviours."""

import re
from collections.abc import Sequence

INDEX = ("", "Unnamed: 0", "frame")  # names of a first column that counts the rows
POSE = ("_x", "_y", "_p")  # endings of SimBA's columns of body parts
NO_BEHAVIOUR = ("Probability_", "Low_prob_detections_")  # numbers that may all be 0 and 1
_OF_REGION = re.compile(r"\S+ .*\S (distance|in zone(_cumulative_\w+)?|facing)")
"""Features of a region and an animal, which SimBA puts after all others; many are 0 and 1."""


def body_part(names: Sequence[str]) -> list[int]:
    """The places of the three columns of one body part; empty where it is no table of poses."""
    folded = [name.casefold() for name in names]
    there = set(folded)
    for name in folded:
        columns = [name.removesuffix("_x") + ending for ending in POSE]
        if name.endswith("_x") and there.issuperset(columns):
            return [folded.index(column) for column in columns]
    return []


def is_feature(name: str) -> bool:
    """Whether the name of a column says that it is no behaviour, and none before it is one."""
    name = name.casefold()
    return name.endswith(POSE) or _OF_REGION.fullmatch(name) is not None


def columns_needed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The places of the columns that can say what a table of poses shows; empty for other tables.

    ``rows``: the first ones. Behaviours stand after the last feature, and after the last column
    that these do not fill with 0 and 1. A body part is kept, so that the table is still seen to be
    one of poses.
    """
    part = body_part(names)
    if not part or names[0].strip() not in INDEX:
        return []
    last = max(
        place
        for place, name in enumerate(names)
        if is_feature(name)
        or (not name.startswith(NO_BEHAVIOUR) and any(map(_is_measured, _column(rows, place))))
    )
    return sorted({0, *part, *range(last + 1, len(names))})


def _column(rows: Sequence[Sequence[str]], place: int) -> list[str]:
    return [row[place] for row in rows if place < len(row)]


def _is_measured(cell: str) -> bool:
    """Whether it is a number other than 0 and 1."""
    try:
        return float(cell) not in (0.0, 1.0)
    except ValueError:
        return False
