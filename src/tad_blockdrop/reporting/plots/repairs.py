"""What every repair put back, layer by layer."""

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.reporting.numbers import number
from tad_blockdrop.reporting.style import dressed, plain

LAYERS = ("attention", "MLP")


def repair_errors(repairs: pd.DataFrame) -> go.Figure:
    """Heat map of the error of the tokens behind every layer that a repair looked at, by step.

    Each cell says the error before and after the layer was refitted, in percent of the size of the
    teacher's tokens, or the one error of a layer that was left alone; the brighter, the less is
    left. ``repairs`` has step, block, branch (0 or 1), before, after and ridge.
    """
    errors = zip(repairs["before"], repairs["after"], repairs["ridge"].notna(), strict=True)
    texts = [_words(*each) for each in errors]
    table = repairs.assign(left=100 * repairs["after"], text=texts)
    left, text = (
        table.pivot(index=["block", "branch"], columns="step", values=name)
        for name in ("left", "text")
    )
    figure = go.Figure(
        go.Heatmap(
            x=list(range(left.shape[1])),
            y=list(range(left.shape[0])),
            z=[plain(row) for row in left.to_numpy(dtype=float)],
            text=text.fillna("").to_numpy().tolist(),
            texttemplate="%{text}",
            hovertemplate="%{y}: %{text} %<extra></extra>",
            hoverongaps=False,
            colorscale="Cividis",
            reversescale=True,
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    dressed(figure, height=90 + 26 * len(left))
    ticks = [f"step {step}" for step in left.columns]
    figure.update_xaxes(tickvals=list(range(len(ticks))), ticktext=ticks, showgrid=False)
    names = [f"{block} {LAYERS[branch]}" for block, branch in left.index]
    figure.update_yaxes(
        title_text="block and layer", tickvals=list(range(len(names))), ticktext=names,
        autorange="reversed", showgrid=False,
    )  # fmt: skip
    return figure


def _words(before: float, after: float, refitted: bool) -> str:
    change = f"{number(100 * before)} → {number(100 * after)}"
    return change if refitted else number(100 * after)
