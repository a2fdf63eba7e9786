"""What every repair put back, layer by layer."""

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.reporting.numbers import number
from tad_blockdrop.reporting.style import dressed, plain

LAYERS = ("attention", "MLP")


def repair_errors(repairs: pd.DataFrame) -> go.Figure:
    """Heat map of the error behind every layer that a repair looked at, by step.

    Each cell says the error before and after the layer was refitted, in percent of the size of what
    the teacher has there (tokens behind a layer of the backbone, else the layer's outputs), or the
    one error of a layer that was left alone, and how many channels of dropped blocks it has
    taken, if any; the brighter, the less is left. ``repairs`` has step, block, branch (0 or 1),
    before, after and ridge, ``taken`` (not in older experiments), and where neck and head were
    refitted ``layer`` with their layers' names.
    """
    refitted = repairs["ridge"].notna()
    taken = repairs.get("taken", pd.Series(0, index=repairs.index)).fillna(0)
    errors = zip(repairs["before"], repairs["after"], refitted, taken, strict=True)
    texts = [_words(*each) for each in errors]
    table = repairs.assign(left=100 * repairs["after"], text=texts, name=_names(repairs))
    order = table.sort_values(["block", "branch"], kind="stable")["name"].unique()
    left, text = (
        table.pivot(index="name", columns="step", values=value).reindex(order)
        for value in ("left", "text")
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
    figure.update_yaxes(
        title_text="block and layer", tickvals=list(range(len(order))), ticktext=list(order),
        autorange="reversed", showgrid=False,
    )  # fmt: skip
    return figure


def _names(repairs: pd.DataFrame) -> list[str]:
    """Of each row's layer: ``3 attention``, or as it is called in neck or head."""
    layers = repairs.get("layer", pd.Series(None, index=repairs.index, dtype=object))
    rows = zip(repairs["block"], repairs["branch"], layers, strict=True)
    return [
        f"{block} {LAYERS[branch]}" if pd.isna(layer) else layer for block, branch, layer in rows
    ]


def _words(before: float, after: float, refitted: bool, taken: int) -> str:
    change = f"{number(100 * before)} → {number(100 * after)}"
    if taken:
        return f"{change} ({taken})"
    return change if refitted else number(100 * after)
