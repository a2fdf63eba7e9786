"""What figures and pages share: colours, layout, number formats and the escaping of foreign text.

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
BLANK = "–"


def escaped(text: object, longest: int | None = None) -> str:
    """Text for a Plotly figure, which would otherwise read tags in it; cut to ``longest``."""
    plain = str(text)
    if longest is not None and len(plain) > longest:
        plain = plain[: longest - 1] + "…"
    return html.escape(plain, quote=False)


def number(value: float | None, digits: int = 1, sign: str = "") -> str:
    """``71.3``, with a true minus sign, or a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return BLANK
    return f"{value:{sign}.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """``+0.3``, ``−0.2``, and ``0.0`` for what rounds to nothing."""
    nothing = value is not None and math.isfinite(value) and round(value, digits) == 0
    return number(0 if nothing else value, digits, sign="" if nothing else "+")


def short(value: float | None) -> str:
    """A score of unknown size: ``63.81``, ``0.00117``, or a dash where there is none."""
    if value is None:
        return BLANK
    return (f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}").replace("-", "−")


def as_yaml(value: object) -> str:
    """A parameter's value as YAML has it: ``null``, ``true``, ``[0.3, 0.7]``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    return str(value)


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
