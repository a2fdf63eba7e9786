"""Two experiments side by side: their models, what differs in their parameters, one figure."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.reporting.html import flat
from tad_blockdrop.reporting.result_table import NAMES, with_costs
from tad_blockdrop.reporting.style import (
    BLUE,
    ORANGE,
    dressed,
    escaped,
    number,
    plain,
    signed,
)

SIDES = ("first", "second")
# What is set side by side; all but `kept_blocks` are numbers, missing where not measured.
MEASURES = ("n_blocks", "average", "delta", "delta_control", "parameters", "gmacs", "latency_ms")
ABSENT = "(not set)"
DASHES = {"progressive": "solid", "control": "dash", "one_shot": "dot"}
TITLES = {"progressive": "steps", "control": "control", "one_shot": "one shot"}


def compare_results(
    first: tuple[pd.DataFrame, pd.DataFrame], second: tuple[pd.DataFrame, pd.DataFrame]
) -> pd.DataFrame:
    """One row per model of either experiment, in the order of result tables.

    Each side is a result table and its table of measured costs. Columns: model, family, step;
    of both sides dropped_block, kept_blocks, videos and ``MEASURES`` with ``_first`` or
    ``_second`` appended, empty where that side has no such model; ``average_change``, the points
    of average mAP from the first to the second. ``delta`` and ``delta_control`` remain what they
    are in result tables: differences to the uncompressed model and to the control of the same
    experiment.
    """
    key = ["model", "family", "step"]
    own = [*key, "dropped_block", "kept_blocks", "videos", *MEASURES]
    sides = [with_costs(*side)[own] for side in (first, second)]
    table = sides[0].merge(
        sides[1], on=key, how="outer", suffixes=("_first", "_second"), validate="one_to_one"
    )
    for side in SIDES:
        whole = [f"{name}_{side}" for name in ("dropped_block", "n_blocks", "parameters")]
        table[whole] = table[whole].astype("Int64")
    table["average_change"] = table["average_second"] - table["average_first"]
    order = table["family"].map(list(NAMES).index)
    return (
        table.assign(order=order)
        .sort_values(["order", "step"], kind="stable")
        .drop(columns="order")
        .reset_index(drop=True)
    )


def parameter_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> pd.DataFrame:
    """The parameters whose values differ: parameter (dotted key), first, second, as YAML has them.

    ``first`` and ``second`` may be nested or have dotted keys. A key that one side lacks is
    ``(not set)`` there.
    """
    sides = [dict(flat(side)) for side in (first, second)]
    rows = [
        (key, *(side.get(key, ABSENT) for side in sides))
        for key in sorted(sides[0].keys() | sides[1].keys())
    ]
    table = pd.DataFrame(rows, columns=["parameter", *SIDES])
    return table[table["first"] != table["second"]].reset_index(drop=True)


def compare_plot(table: pd.DataFrame, names: tuple[str, str]) -> go.Figure:
    """Average mAP against GMACs of a window, of both experiments: one colour each.

    ``table`` is that of ``compare_results``. The steps start from the uncompressed model; a control
    stands at the cost of the step it was trained as long as.
    """
    figure = go.Figure()
    for side, name, colour in zip(SIDES, names, (BLUE, ORANGE), strict=True):
        for family, rows in _lines(table, side).items():
            figure.add_scatter(
                x=plain(rows["cost"]),
                y=plain(rows[f"average_{side}"]),
                name=f"{escaped(name)}: {TITLES[family]}",
                mode="lines+markers",
                line={"color": colour, "width": 3 if family == "progressive" else 2},
                line_dash=DASHES[family],
                marker={"size": 9, "symbol": "circle" if side == "first" else "diamond"},
                text=[
                    f"<b>{escaped(name)}, {row['model']}</b>, "
                    f"{int(row[f'n_blocks_{side}'])} blocks: "
                    f"{number(row[f'average_{side}'])} %<br>"
                    f"{signed(row[f'delta_{side}'])} points to its uncompressed model"
                    for row in rows.to_dict("records")
                ],
                hovertemplate="%{text}<extra></extra>",
            )
    dressed(figure, height=420)
    figure.update_xaxes(title_text="GMACs per window")
    figure.update_yaxes(title_text="average mAP, %")
    return figure


def _lines(table: pd.DataFrame, side: str) -> dict[str, pd.DataFrame]:
    """The rows of each line of one experiment, with the ``cost`` at which they stand."""
    own = table.dropna(subset=[f"average_{side}"])
    own = own.assign(cost=own[f"gmacs_{side}"])
    steps = own[own["family"] == "progressive"].set_index("step")["cost"]
    control = own["family"] == "control"
    own.loc[control, "cost"] = own.loc[control, "step"].map(steps)
    own = own.dropna(subset=["cost"]).sort_values("cost", kind="stable")
    begin = own["family"] == "uncompressed"
    lines = {
        family: own[(own["family"] == family) | (begin & (family == "progressive"))]
        for family in DASHES
    }
    return {family: rows for family, rows in lines.items() if len(rows)}


def format_comparison(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """The comparison as aligned text for a console."""
    text = pd.DataFrame({"model": table["model"]})
    for side, name in zip(SIDES, names, strict=True):
        text[f"{name}: blocks"] = [number(v, 0) for v in _floats(table, f"n_blocks_{side}")]
        text[f"{name}: mAP"] = [number(v) for v in _floats(table, f"average_{side}")]
        text[f"{name}: GMACs"] = [number(v, 2) for v in _floats(table, f"gmacs_{side}")]
    text["change of mAP"] = [signed(v) for v in _floats(table, "average_change")]
    return text.to_string(index=False)


def _floats(table: pd.DataFrame, column: str) -> list[float]:
    return [float("nan") if pd.isna(value) else float(value) for value in table[column]]
