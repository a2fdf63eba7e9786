"""Average mAP against cost, of one experiment and of two."""

from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.detector.units import describe_blocks, parse_units, parts_of_blocks
from tad_blockdrop.reporting.compare import SIDES, one_side
from tad_blockdrop.reporting.numbers import number, signed
from tad_blockdrop.reporting.result_table import on_front, with_costs
from tad_blockdrop.reporting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    dressed,
    escaped,
    plain,
)

Cost = Literal["gmacs", "latency_ms"]

COST_TITLES: dict[Cost, str] = {
    "gmacs": "GMACs per window",
    "latency_ms": "measured latency of a window, ms",
}
PROGRESSIVE = "progressive block drop"
DASHES = {"control": "dash", "one_shot": "dashdot", "progressive": "solid"}


def accuracy_against_cost(results: pd.DataFrame, costs: pd.DataFrame, cost: Cost) -> go.Figure:
    """Average mAP of every model against what it costs.

    Bars are the 95 % interval of the difference to the uncompressed model. A control drops
    nothing; it is drawn at the cost of the step whose training it matches. A latency that was not
    measured is taken from a model with as much of as many blocks, which computes the same.
    Skipped steps are left out. Rings mark the models that no other one beats (``on_front``).
    """
    table = with_costs(results, costs)
    table = table[~table["skipped"].astype(bool)]
    alike = table["kept_blocks"].map(lambda kept: parts_of_blocks(parse_units(kept)))
    table[cost] = table[cost].fillna(table.groupby(alike)[cost].transform("first"))
    table = _by_cost(table, cost)
    figure = go.Figure()
    _add_reference(figure, table, cost)
    for family, name, colour, symbol in (
        ("control", "control: trained as long, nothing dropped", ORANGE, "diamond"),
        ("one_shot", "one shot: dropped, not aligned", VERMILLION, "x"),
        ("progressive", PROGRESSIVE, BLUE, "circle"),
    ):
        rows = table[table["family"] == family]
        if len(rows):
            _add_line(figure, rows, cost, family, name, {"color": colour, "symbol": symbol})
    figure.update_traces(
        error_y=_intervals(table[table["family"] == "progressive"]), selector={"name": PROGRESSIVE}
    )
    if (table["family"] == "progressive").any():
        _add_front(figure, on_front(table, cost), cost)
    return _titled(figure, cost, height=400)


def compare_plot(table: pd.DataFrame, names: tuple[str, str]) -> go.Figure:
    """Average mAP against GMACs of a window, of both experiments: one colour each.

    ``table`` is that of ``compare_results``. The steps start from the uncompressed model; a control
    is drawn at the cost of the step whose training it matches.
    """
    titles = {"progressive": "steps", "control": "control", "one_shot": "one shot"}
    looks = ((BLUE, "circle"), (ORANGE, "diamond"))
    figure = go.Figure()
    for side, experiment, (colour, symbol) in zip(SIDES, names, looks, strict=True):
        own = _by_cost(one_side(table, side), "gmacs")
        for family, title in titles.items():
            families = ["uncompressed", family] if family == "progressive" else [family]
            rows = own[own["family"].isin(families)]
            if len(rows):
                name = f"{escaped(experiment)}: {title}"
                _add_line(figure, rows, "gmacs", family, name, {"color": colour, "symbol": symbol})
    return _titled(figure, "gmacs", height=420)


def _by_cost(table: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    """The models of known cost by rising cost, controls at the costs of their steps."""
    steps = table[table["family"] == "progressive"].set_index("step")[cost]
    moved = table[cost].mask(table["family"] == "control", table["step"].map(steps))
    return table.assign(**{cost: moved}).dropna(subset=[cost]).sort_values(cost, kind="stable")


def _add_line(
    figure: go.Figure,
    rows: pd.DataFrame,
    cost: Cost,
    family: str,
    name: str,
    marker: dict[str, str],
) -> None:
    """The models of one family as a line called ``name``, which is escaped already."""
    width = 3 if family == "progressive" else 2
    figure.add_scatter(
        x=plain(rows[cost]),
        y=plain(rows["average"]),
        name=name,
        mode="lines+markers",
        line={"color": marker["color"], "width": width, "dash": DASHES[family]},
        marker={"size": 9} | marker,
        text=[
            f"<b>{name}</b><br>{escaped(row['model'])}, "
            f"{describe_blocks(parse_units(row['kept_blocks']))}: "
            f"{number(row['average'])} %<br>{signed(row['delta'])} points against uncompressed"
            for row in rows.to_dict("records")
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def _add_front(figure: go.Figure, front: pd.DataFrame, cost: Cost) -> None:
    """A ring around each of these models."""
    figure.add_scatter(
        x=plain(front[cost]),
        y=plain(front["average"]),
        name="front: none is both cheaper and more accurate",
        mode="markers",
        marker={"symbol": "circle-open", "size": 17, "color": GREEN, "line": {"width": 2}},
        hoverinfo="skip",
    )


def _intervals(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": plain((rows["delta_high"] - rows["delta"]).clip(lower=0)),
        "arrayminus": plain((rows["delta"] - rows["delta_low"]).clip(lower=0)),
        "thickness": 1.5,
        "width": 5,
    }


def _add_reference(figure: go.Figure, table: pd.DataFrame, cost: Cost) -> None:
    """A dotted line at the mAP of the uncompressed model."""
    reference = table[table["family"] == "uncompressed"]
    if reference.empty:
        return
    average, at = float(reference["average"].iloc[0]), float(reference[cost].iloc[0])
    ends = sorted({float(table[cost].min()), at})
    figure.add_scatter(
        x=ends,
        y=[average] * len(ends),
        name="uncompressed",
        mode="lines+markers",
        line={"color": GREY, "dash": "dot", "width": 2},
        marker={"symbol": "square", "size": [9 if x == at else 0 for x in ends], "opacity": 1},
        hovertemplate=f"uncompressed: {number(average)} %<extra></extra>",
    )


def _titled(figure: go.Figure, cost: Cost, height: int) -> go.Figure:
    dressed(figure, height)
    figure.update_xaxes(title_text=COST_TITLES[cost])
    figure.update_yaxes(title_text="average mAP, %")
    return figure
