"""How true the scores of a model are, as they come and calibrated."""

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.metrics.calibration import calibration_error
from tad_blockdrop.reporting.numbers import number
from tad_blockdrop.reporting.style import BLUE, GREY, VERMILLION, dressed, plain

LOOKS = {"score": ("score", VERMILLION, "diamond"), "probability": ("calibrated", BLUE, "circle")}


def reliability_curve(table: pd.DataFrame) -> go.Figure:
    """What share of detections is right against what is stated; the diagonal is the truth.

    ``table`` as from ``calibration.reliability_table``. The legend says the expected calibration
    error, in points.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", showlegend=False, hoverinfo="skip",
        line={"color": GREY, "width": 1, "dash": "dot"},
    )  # fmt: skip
    for what, (name, colour, symbol) in LOOKS.items():
        rows = table[table["of"] == what]
        if rows.empty:
            continue
        figure.add_scatter(
            x=plain(100 * rows["stated"]),
            y=plain(100 * rows["right"]),
            name=f"{name}: off by {number(100 * calibration_error(rows))} points",
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"color": colour, "size": 9, "symbol": symbol},
            text=[f"of {count} detections" for count in rows["count"]],
            hovertemplate="stated %{x:.1f} %, right %{y:.1f} % %{text}<extra></extra>",
        )
    dressed(figure, height=360)
    figure.update_xaxes(title_text="stated, %", range=[0, 100])
    figure.update_yaxes(title_text="right, %", range=[0, 100])
    return figure
