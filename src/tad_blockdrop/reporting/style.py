"""What figures share: colours, layout, and the escaping of foreign text.

Figures have transparent backgrounds and mid-grey text, readable on white and on black paper; the
HTML report sharpens text and grid to the reader's colour scheme.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names of models and the colours of drawn videos do not need plotly
    import plotly.graph_objects as go

# Okabe and Ito's colours, told apart by colour-blind people. Their black is left out, as it
# vanishes on a dark page, and yellow comes last, as it is weak on a white one.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#8C8C8C"
YELLOW = "#F0E442"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, GREY, YELLOW)
DARK_ENOUGH_FOR_WHITE = (BLUE, VERMILLION, GREEN)

# Beyond the last colour the same colours come again, hatched.
PATTERNS = ("", "/", "x", ".", "-")

INK = "#808080"
GRID = "rgba(128, 128, 128, 0.25)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def colour_of(kind: int) -> str:
    """The colour of the class with that number in the class list, the same everywhere."""
    return PALETTE[kind % len(PALETTE)]


def pattern_of(kind: int) -> str:
    """Its pattern, which tells it from the other classes of that colour."""
    return PATTERNS[kind // len(PALETTE) % len(PATTERNS)]


def escaped(text: object, longest: int | None = None) -> str:
    """Text for a Plotly figure, which would otherwise read tags in it; cut to ``longest``."""
    plain = str(text)
    if longest is not None and len(plain) > longest:
        plain = plain[: longest - 1] + "…"
    return html.escape(plain, quote=False)


def plain(values: Iterable[Any]) -> list[float | None]:
    """Numbers for a figure: readable JSON, with null for what is missing."""
    return [float(v) if math.isfinite(v) else None for v in values]


def dressed(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure the common look; returns the same figure."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": INK},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"font": {"family": FONT, "size": 13}, "align": "left"},
        dragmode=False,
    )
    title = {"standoff": 8, "font": {"size": 13}}
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "title": title}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def left_titles(figure: go.Figure) -> None:
    """Set the titles of subplots flush left."""
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
