"""The tables of two experiments side by side: their models, and the parameters that differ."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from tad_blockdrop.reporting.numbers import as_yaml, number, signed
from tad_blockdrop.reporting.result_table import in_order, tiou_columns, unit_column, with_costs

SIDES = ("first", "second")
# Numbers of either side, missing where not measured.
MEASURES = ("n_blocks", "average", "delta", "delta_control", "parameters", "gmacs", "latency_ms")
ABSENT = "(not set)"


def compare_results(
    first: tuple[pd.DataFrame, pd.DataFrame], second: tuple[pd.DataFrame, pd.DataFrame]
) -> pd.DataFrame:
    """One row per model of either experiment, in the order of result tables.

    Each side is a result table and its table of measured costs. Columns: model, family, step;
    of both sides dropped_block, kept_blocks, videos and ``MEASURES`` with ``_first`` or
    ``_second`` appended, empty where that side has no such model; ``average_change``, the points
    of average mAP from the first to the second, empty where they average over different tIoU
    thresholds. ``delta`` and ``delta_control`` remain what they are in result tables: differences
    to the uncompressed model and to the control of the same experiment.
    """
    key = ["model", "family", "step"]
    own = [*key, "dropped_block", "kept_blocks", "videos", *MEASURES]
    sides = [with_costs(*side)[own] for side in (first, second)]
    table = sides[0].merge(
        sides[1], on=key, how="outer", suffixes=("_first", "_second"), validate="one_to_one"
    )
    for side in SIDES:
        whole = [f"{name}_{side}" for name in ("n_blocks", "parameters")]
        table[whole] = table[whole].astype("Int64")
        dropped = f"dropped_block_{side}"
        table[dropped] = unit_column(table[dropped])
    change = table["average_second"] - table["average_first"]
    alike = tiou_columns(first[0]) == tiou_columns(second[0])
    table["average_change"] = change if alike else float("nan")
    return in_order(table).reset_index(drop=True)


def one_side(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """The models that one side of a table of ``compare_results`` has, under their own columns."""
    own = table.rename(columns=lambda name: name.removesuffix(f"_{side}"))
    return own.dropna(subset=["average"])


def parameter_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> pd.DataFrame:
    """The parameters whose values differ: parameter (dotted key), first, second, as YAML has them.

    ``first`` and ``second`` have dotted keys. A key that one side lacks is ``(not set)`` there.
    """
    rows = [
        (key, *(as_yaml(side[key]) if key in side else ABSENT for side in (first, second)))
        for key in sorted(first.keys() | second.keys())
    ]
    table = pd.DataFrame(rows, columns=["parameter", *SIDES])
    return table[table["first"] != table["second"]].reset_index(drop=True)


def format_comparison(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """The comparison as aligned text for a console."""
    text = pd.DataFrame({"model": table["model"]})
    columns = (("n_blocks", "blocks", 0), ("average", "mAP", 1), ("gmacs", "GMACs", 2))
    for side, name in zip(SIDES, names, strict=True):
        for column, title, digits in columns:
            values = table[f"{column}_{side}"].astype(float)
            text[f"{name}: {title}"] = values.map(partial(number, digits=digits))
    text["change of mAP"] = table["average_change"].map(signed)
    return text.to_string(index=False)
