"""Which blocks each step could have dropped, and what the ranking said of them."""

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.compression.criteria.contract import Criterion
from tad_blockdrop.detector.units import as_stored, parse_unit
from tad_blockdrop.reporting.numbers import number, short
from tad_blockdrop.reporting.result_table import race_table
from tad_blockdrop.reporting.style import VERMILLION, dressed, escaped, plain


def block_importance(scores: pd.DataFrame, criterion: Criterion) -> go.Figure:
    """Heat map of the score of every block, or sub-layer, at every step.

    Brighter is easier to spare, whatever the criterion; the framed block was dropped. Blocks that
    are already gone are blank. ``scores`` as for ``race_table``.
    """
    steps = sorted(scores["step"].unique().tolist())
    units = sorted(set(map(parse_unit, scores["block"])))  # all of one kind
    if units and isinstance(units[-1], int):
        units = list(range(units[-1] + 1))
    blocks = [as_stored(unit) for unit in units]
    grid = scores.pivot(index="block", columns="step", values="value").reindex(blocks)
    values = [plain(row) for row in grid.to_numpy(dtype=float)]
    races = race_table(scores)
    dropped = set(zip(races["block"].tolist(), races["step"].tolist(), strict=True))
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
            hovertemplate=f"block %{{y}}: %{{z:.5g}}<br>{escaped(criterion.title)}<extra></extra>",
            hoverongaps=False,
            colorscale="Cividis",
            reversescale=not criterion.larger_is_better,
            xgap=3,
            ygap=3,
            showscale=False,
        )
    )
    for block, step in sorted(dropped):
        column, row = steps.index(step), blocks.index(block)
        figure.add_shape(
            type="rect",
            x0=column - 0.5,
            x1=column + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
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
