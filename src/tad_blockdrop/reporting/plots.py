"""The figures of the report, each a function from tables to a Plotly figure."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tad_blockdrop.reporting.result_table import race_table, with_costs
from tad_blockdrop.reporting.style import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    VERMILLION,
    dressed,
    escaped,
    left_titles,
    number,
    plain,
    short,
    signed,
)

Cost = Literal["n_blocks", "gmacs", "latency_ms"]

COST_TITLES: dict[Cost, str] = {
    "n_blocks": "blocks kept",
    "gmacs": "GMACs per window",
    "latency_ms": "measured latency of a window, ms",
}
TOTAL = "total"
NOT_LOSSES = ("stage", "step", "epoch", "steps", "grad_norm", "validation")
LOG_TICKS = [digit * 10.0**power for power in range(-6, 4) for digit in (1, 2, 5)]
LONGEST_LABEL = 24
MOST_CLASSES = 30


def accuracy_against_cost(results: pd.DataFrame, costs: pd.DataFrame, cost: Cost) -> go.Figure:
    """Average mAP of every model against what it costs.

    Bars are the 95 % interval of the difference to the uncompressed model. A control drops
    nothing; it stands at the cost of the step it was trained as long as. Where a latency was not
    measured, that of a model with the same number of blocks is taken: it computes the same.
    Skipped steps are left out.
    """
    table = with_costs(results, costs)
    table = table[~table["skipped"].astype(bool)]
    table[cost] = table[cost].fillna(table.groupby("n_blocks")[cost].transform("first"))
    steps = table[table["family"] == "progressive"].set_index("step")
    controls = table["family"] == "control"
    table.loc[controls, cost] = table.loc[controls, "step"].map(steps[cost])
    table = table.dropna(subset=[cost]).sort_values(cost)

    figure = go.Figure()
    _reference_line(figure, table, cost)
    _family_line(
        figure, table, cost, "control", "control: as long trained, nothing dropped", ORANGE
    )
    _family_line(figure, table, cost, "one_shot", "one shot: dropped, not aligned", VERMILLION)
    _family_line(figure, table, cost, "progressive", "progressive block drop", BLUE)
    dressed(figure, height=400)
    figure.update_xaxes(title_text=COST_TITLES[cost])
    if cost == "n_blocks":
        figure.update_xaxes(tickformat="d", dtick=1)
    figure.update_yaxes(title_text="average mAP, %")
    return figure


def _reference_line(figure: go.Figure, table: pd.DataFrame, cost: Cost) -> None:
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


def _family_line(
    figure: go.Figure, table: pd.DataFrame, cost: Cost, family: str, name: str, colour: str
) -> None:
    rows = table[table["family"] == family]
    if rows.empty:
        return
    progressive = family == "progressive"
    bars = {
        "type": "data",
        "symmetric": False,
        "array": plain((rows["delta_high"] - rows["delta"]).clip(lower=0)),
        "arrayminus": plain((rows["delta"] - rows["delta_low"]).clip(lower=0)),
        "thickness": 1.5,
        "width": 5,
    }
    figure.add_scatter(
        x=plain(rows[cost]),
        y=plain(rows["average"]),
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 3 if progressive else 2},
        line_dash={"progressive": "solid", "control": "dash"}.get(family, "dashdot"),
        marker={
            "size": 10 if progressive else 8,
            "symbol": {"progressive": "circle", "control": "diamond"}.get(family, "x"),
        },
        error_y=bars if progressive else None,
        text=[
            f"<b>{escaped(row['model'])}</b>, {row['n_blocks']} blocks: "
            f"{number(row['average'])} %<br>{signed(row['delta'])} points to uncompressed"
            for row in rows.to_dict("records")
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def block_importance(scores: pd.DataFrame) -> go.Figure:
    """Heat map of what each step's ranking said of every block it could drop.

    Brighter is easier to spare, whatever the criterion; the framed block was dropped. Blocks that
    are gone already are blank. ``scores`` as for ``race_table``.
    """
    steps = sorted(scores["step"].unique().tolist())
    blocks = list(range(int(scores["block"].max()) + 1)) if len(scores) else []
    grid = scores.pivot(index="block", columns="step", values="value").reindex(blocks)
    values = [plain(row) for row in grid.to_numpy(dtype=float)]
    races = race_table(scores)
    dropped = set(zip(races["block"].tolist(), races["step"].tolist(), strict=True))
    criterion = str(scores["criterion"].iloc[0]) if len(scores) else ""
    figure = go.Figure(
        go.Heatmap(
            x=list(range(len(steps))),
            y=blocks,
            z=values,
            text=[
                [
                    _score_text(value, (block, step) in dropped)
                    for value, step in zip(row, steps, strict=True)
                ]
                for row, block in zip(values, blocks, strict=True)
            ],
            texttemplate="%{text}",
            hovertemplate="block %{y}: %{z:.5g}<extra></extra>",
            hoverongaps=False,
            colorscale="Cividis",
            reversescale=criterion != "train_map",
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    for block, step in sorted(dropped):
        column = steps.index(step)
        figure.add_shape(
            type="rect",
            x0=column - 0.5,
            x1=column + 0.5,
            y0=block - 0.5,
            y1=block + 0.5,
            line={"color": VERMILLION, "width": 4},
        )
    dressed(figure, height=90 + 30 * len(blocks))
    ticks = [f"step {step}" for step in steps]
    figure.update_xaxes(tickvals=list(range(len(steps))), ticktext=ticks, showgrid=False)
    figure.update_yaxes(title_text="block", autorange="reversed", dtick=1, showgrid=False)
    return figure


def _score_text(value: float | None, dropped: bool) -> str:
    if value is None:
        return ""
    text = number(value) if abs(value) >= 10 else short(value)
    return f"<b>{text} ✕</b>" if dropped else text


def training_curves(history: pd.DataFrame) -> go.Figure:
    """Loss terms of the baseline and of the alignments, and the mAP of held-out videos.

    ``history`` is that of ``training.loop.train`` with the columns stage ("baseline", "step_01",
    "control_01") and, where videos are held out, ``validation`` (percent). The steps follow each
    other; the total loss and the validation of controls are dashed.
    """
    terms = _loss_terms(history)
    colours = {term: PALETTE[i % len(PALETTE)] for i, term in enumerate(terms)}
    stage = history["stage"].astype(str)
    baseline = history[stage == "baseline"]
    steps = _in_a_row(history[stage.str.startswith("step_")])
    controls = _in_a_row(history[stage.str.startswith("control_")])
    panels = {
        "Baseline: loss terms": (baseline, None, terms),
        "Alignment, step after step: loss terms": (steps, controls, terms),
        "Average mAP on held-out videos, %: baseline": (baseline, None, ["validation"]),
        "Average mAP on held-out videos, %: alignment": (steps, controls, ["validation"]),
    }
    panels = {t: p for t, p in panels.items() if p[0].reindex(columns=p[2]).notna().any(axis=None)}
    figure = make_subplots(
        rows=max(1, len(panels)),
        subplot_titles=list(panels),
        vertical_spacing=0.32 / max(1, len(panels)),
    )
    for row, (chain, dashed, columns) in enumerate(panels.values(), start=1):
        for column in columns:
            colour = colours.get(column, BLUE)
            _curves(figure, row, chain, column, colour, "solid")
            if dashed is not None and column in (TOTAL, "validation"):
                _curves(figure, row, dashed, column, colour, "dash")
        if columns is terms:
            figure.update_yaxes(type="log", tickvals=LOG_TICKS, tickformat="~g", row=row)
        if chain is steps:
            middles = steps.groupby("stage", sort=True)["epoch"].agg(
                lambda e: (e.min() + e.max()) / 2
            )
            names = [f"step {int(stage.removeprefix('step_'))}" for stage in middles.index]
            figure.update_xaxes(
                tickvals=plain(middles), ticktext=names, showgrid=False, title_text="", row=row
            )
        else:
            figure.update_xaxes(title_text="epoch", row=row)
    dressed(figure, height=40 + 260 * max(1, len(panels)))
    figure.update_layout(legend={"y": 1.03 if len(panels) > 2 else 1.08})
    left_titles(figure)
    return figure


def _loss_terms(history: pd.DataFrame) -> list[str]:
    """The columns of a history that are losses and not all missing, the total first."""
    terms = [
        column
        for column in history.columns
        if column not in NOT_LOSSES
        and not column.startswith("lr_")
        and history[column].notna().any()
    ]
    return sorted(terms, key=lambda term: term != TOTAL)


def _in_a_row(history: pd.DataFrame) -> pd.DataFrame:
    """Stages one after the other: ``epoch`` becomes the epochs since the first began."""
    if history.empty:
        return history
    epochs = history.groupby("stage", sort=True)["epoch"]
    lengths = epochs.max() - epochs.min() + 1
    shifts = lengths.cumsum() - lengths - epochs.min() + 1
    return history.assign(epoch=history["epoch"] + history["stage"].map(shifts))


def _curves(
    figure: go.Figure, row: int, chain: pd.DataFrame, column: str, colour: str, dash: str
) -> None:
    """One line per stage, so that the restarts between stages show; one legend entry per term."""
    if column not in chain:
        return
    known = {trace.name for trace in figure.data if trace.showlegend}
    named = dash == "solid" and column != "validation" and escaped(column) not in known
    for stage, rows in chain.dropna(subset=[column]).groupby("stage", sort=True):
        figure.add_scatter(
            x=plain(rows["epoch"]),
            y=plain(rows[column]),
            name=escaped(column),
            legendgroup=escaped(column),
            showlegend=named,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2},
            marker={"size": 5},
            hovertemplate=f"{escaped(stage)}, {escaped(column)}: %{{y:.4g}}<extra></extra>",
            row=row,
            col=1,
        )
        named = False


def class_change(changes: pd.DataFrame) -> go.Figure:
    """Average precision per class, uncompressed (hollow) and compressed (filled), largest gain on
    top; of more than 30 classes those that changed most. ``changes`` as from ``class_changes``.
    """
    most = changes["change"].abs().sort_values(kind="stable").index[-MOST_CLASSES:]
    rows = changes.loc[most].sort_values("change", kind="stable").reset_index(drop=True)
    places = list(range(len(rows)))
    figure = go.Figure()
    for gain, colour, name in ((True, BLUE, "gained"), (False, VERMILLION, "lost")):
        part = rows[(rows["change"] >= 0) == gain]
        ends = [(b, a, None) for b, a in zip(part["before"], part["after"], strict=True)]
        figure.add_scatter(
            x=[x for end in ends for x in end],
            y=[y for place in part.index for y in (place, place, None)],
            mode="lines",
            line={"color": colour, "width": 3},
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=plain(part["after"]),
            y=list(part.index),
            name=f"compressed: {name}",
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": "circle" if gain else "diamond"},
            text=[_change_text(row) for row in part.to_dict("records")],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.add_scatter(
        x=plain(rows["before"]),
        y=places,
        name="uncompressed",
        mode="markers",
        marker={"color": GREY, "size": 11, "symbol": "circle-open", "line": {"width": 2}},
        hoverinfo="skip",
    )
    dressed(figure, height=110 + 28 * len(rows))
    labels = [escaped(label, LONGEST_LABEL) for label in rows["label"]]
    figure.update_yaxes(tickvals=places, ticktext=labels, range=[-0.6, len(rows) - 0.4])
    figure.update_xaxes(title_text="average precision, %")
    return figure


def _change_text(row: Mapping[Any, Any]) -> str:
    return (
        f"<b>{escaped(row['label'])}</b>: {number(row['before'])} → {number(row['after'])} % "
        f"({signed(row['change'])} points)"
    )
