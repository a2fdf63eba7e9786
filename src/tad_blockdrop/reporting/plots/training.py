"""What training did: loss terms and held-out accuracy by epoch."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tad_blockdrop.reporting.style import BLUE, PALETTE, dressed, escaped, left_titles, plain

TOTAL = "total"
NOT_LOSSES = ("stage", "step", "epoch", "steps", "grad_norm", "validation")
LOG_TICKS = [digit * 10.0**power for power in range(-6, 4) for digit in (1, 2, 5)]


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
