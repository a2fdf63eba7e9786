"""Fills in the templates of this folder; ``base.html.j2`` has what all pages share."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tad_blockdrop.reporting.numbers import BLANK, number, short, signed, unit


def render(template: str, values: Mapping[str, object]) -> str:
    """A page as the text of one HTML file that holds all it needs and loads nothing.

    ``template`` is a file of this folder. All ``values`` are escaped.
    """
    environment = Environment(
        loader=PackageLoader("tad_blockdrop", "reporting/pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, signed=signed, short=short, unit=unit)
    environment.filters.update(embedded=_embedded, as_json=_as_json)
    environment.globals.update(blank=BLANK, plotly=_plotly)
    return environment.get_template(template).render(values)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for a template, with None for what is missing."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _plotly() -> Markup:
    """The library that draws figures, for pages that have some: 5 MB."""
    return Markup(get_plotlyjs())


def _embedded(figure: go.Figure) -> Markup:
    """A figure as JSON that no text inside it can break out of."""
    return _contained(str(figure.to_json()))


def _as_json(value: object) -> Markup:
    """Plain values as JSON that no text inside them can break out of."""
    return _contained(json.dumps(value, allow_nan=False, separators=(",", ":")))


def _contained(text: str) -> Markup:
    safe = text.replace("&", "\\u0026").replace("<", "\\u003c")
    return Markup(safe.replace(">", "\\u003e"))
