"""Which classes gained and which lost."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.reporting.numbers import number, signed
from tad_blockdrop.reporting.style import BLUE, GREY, VERMILLION, dressed, escaped, plain

LONGEST_LABEL = 24
MOST_CLASSES = 30


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
