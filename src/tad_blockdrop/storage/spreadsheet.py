"""Names from outside in tables that people open in a spreadsheet.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end for a
formula, which may call programs or send the table elsewhere. In a table that is saved, an
apostrophe stands before every such beginning of a cell, or of what a spreadsheet that separates
cells elsewhere takes for one. Reading takes it off again.

A table that is read has texts as they were written: a video named 001 is no number, a class named
None is not missing.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from pandas.api.types import is_object_dtype, is_string_dtype

# The columns of saved tables that hold texts, names from outside among them.
TEXTS = (
    "video_id", "label", "true_label", "rarest", "name", "path", "file", "key", "kind", "message",
    "advice", "note", "event", "time", "tensor", "source", "shape", "detail", "parameter",
    "kept_blocks",
)  # fmt: skip
# How pandas reads a saved table: only an empty cell is missing.
READING: Mapping[str, Any] = MappingProxyType(
    {"dtype": dict.fromkeys(TEXTS, "str"), "keep_default_na": False, "na_values": [""]}
)
# Texts that are numbers are left alone.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_BEGINNING = r"(^|[;,|\t\r\n\"])"
_FORMULA = r"(?=[=+\-@\t\r\n＝＋－＠])"
_BARE = re.compile(f"{_BEGINNING}('*){_FORMULA}")
_GUARDED = re.compile(f"{_BEGINNING}'('*){_FORMULA}")


def guard_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table with no text, in cells and column names, that a spreadsheet would calculate."""
    return _in_texts(table, _BARE, r"\1'\2")


def restore_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it was before ``guard_cells``."""
    return _in_texts(table, _GUARDED, r"\1\2")


def _in_texts(table: pd.DataFrame, pattern: re.Pattern[str], replacement: str) -> pd.DataFrame:
    def changed(value: Any) -> Any:
        if not isinstance(value, str) or NUMBER.fullmatch(value):
            return value
        return pattern.sub(replacement, value)

    result = table.copy()
    for place, kind in enumerate(table.dtypes):  # by place: two columns may have one name
        if is_object_dtype(kind) or is_string_dtype(kind):
            cells = [changed(value) for value in table.iloc[:, place]]
            result.isetitem(place, pd.Series(cells, table.index, dtype=kind))
    return result.set_axis([changed(name) for name in table.columns], axis=1)
