"""The page that shows two experiments side by side; it opens offline, as the report does."""

import json
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tad_blockdrop.reporting.compare import SIDES
from tad_blockdrop.reporting.html import PERCENT
from tad_blockdrop.reporting.style import BLANK, number, signed

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>{{ names | join(" and ") }}</title>
<link rel="icon" href="data:,">
<style>
{% include "report.css" %}
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.pair { gap: 1.5rem; }
.pair > * { min-width: 0; }
</style>
</head>
<body>
{% macro plot(figure, caption) %}
<figure>
<div class="plot" role="img" aria-label="{{ caption }}">
<script type="application/json">{{ figure | data | tojson }}</script></div>
<figcaption>{{ caption }}</figcaption>
</figure>
{% endmacro %}
<main>
<p class="over">two experiments</p>
<h1>{{ names[0] }} and {{ names[1] }}</h1>
<p>{{ summary }}</p>
<noscript><p class="note">The plots need JavaScript; the tables do not.</p></noscript>

<section>
<h2>Models</h2>
<div class="wide" tabindex="0" role="region" aria-label="Models of both experiments">
<table class="numbers">
<thead>
<tr>
<td></td>
{% for title in ("average mAP, %", "to uncompressed", "to control", "blocks", "dropped", "GMACs",
 "latency, ms") %}
<th scope="colgroup" colspan="{{ 3 if loop.first else 2 }}" class="group">
<span>{{ title }}</span></th>
{% endfor %}
</tr>
<tr>
<th scope="col">model</th>
<th scope="col">{{ names[0] }}</th><th scope="col">{{ names[1] }}</th><th scope="col">change</th>
{% for _ in range(6) %}
<th scope="col">{{ names[0] }}</th><th scope="col">{{ names[1] }}</th>
{% endfor %}
</tr>
</thead>
{% for rows in families %}
<tbody>
{% for row in rows %}
<tr>
<th scope="row">{{ row.model }}</th>
<td>{{ row.average_first | number }}</td>
<td>{{ row.average_second | number }}</td>
<td><b>{{ row.average_change | signed }}</b></td>
{% for name, shown in cells %}
{% for side in ("first", "second") %}
<td>{{ shown(row[name ~ "_" ~ side]) }}</td>
{% endfor %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
</div>
<p class="note">Change: {{ names[1] }} minus {{ names[0] }}, without an interval; it means most
where both used the same test videos. The other differences are within each experiment, whose
report has their intervals.</p>
</section>

<section>
<h2>Accuracy against cost</h2>
{{ plot(figure, "Average mAP of both experiments. A control stands at the cost of the step it was"
 ~ " trained as long as.") }}
</section>

<section>
<h2>What differs in their parameters</h2>
{% if differences %}
<div class="wide" tabindex="0" role="region" aria-label="Parameters that differ">
<table class="numbers narrow">
<thead><tr><th scope="col">parameter</th>
<th scope="col" class="left">{{ names[0] }}</th>
<th scope="col" class="left">{{ names[1] }}</th></tr></thead>
<tbody>
{% for row in differences %}
<tr><th scope="row">{{ row.parameter }}</th>
<td class="left">{{ row.first }}</td><td class="left">{{ row.second }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p>Nothing that results depend on.</p>
{% endif %}
</section>

<section>
<h2>Training</h2>
<div class="pair">
{% for name, training in trainings %}
<div>
<p><b>{{ name }}</b></p>
{{ plot(training, "Loss terms and held-out accuracy by epoch. Controls are dashed.") }}
</div>
{% endfor %}
</div>
</section>
</main>
<script>{{ plotly }}</script>
<script>
{% include "report.js" %}
</script>
</body>
</html>
"""


def comparison_page(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    figure: go.Figure,
    trainings: tuple[go.Figure, go.Figure],
    names: tuple[str, str],
) -> str:
    """The page as text.

    ``table``, ``differences`` and ``figure`` are those of ``compare``; ``trainings`` the training
    curves of the two experiments, ``names`` what they are called.
    """
    environment = Environment(
        loader=PackageLoader("tad_blockdrop", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, signed=signed, data=lambda figure: json.loads(str(figure.to_json()))
    )
    groups = table.groupby("family", sort=False)
    return environment.from_string(_PAGE).render(
        names=names,
        summary=summary(table, differences, names),
        families=[[_blank_missing(row) for row in g.to_dict("records")] for _, g in groups],
        cells=_CELLS,
        differences=differences.to_dict("records"),
        figure=figure,
        trainings=list(zip(names, trainings, strict=True)),
        plotly=Markup(get_plotlyjs()),
    )


def summary(table: pd.DataFrame, differences: pd.DataFrame, names: tuple[str, str]) -> str:
    """Where each experiment ends, and how many parameters differ, in one paragraph."""
    steps = table[table["family"] == "progressive"]
    parts = []
    for side, name in zip(SIDES, names, strict=True):
        last = steps.dropna(subset=[f"average_{side}"]).tail(1)
        for row in last.to_dict("records"):
            parts.append(
                f"{name} ends with {int(row[f'n_blocks_{side}'])} blocks at "
                f"{number(row[f'average_{side}'])}{PERCENT} average mAP, "
                f"{signed(row[f'delta_{side}'])} points to its uncompressed model "
                f"({row[f'videos_{side}']})."
            )
    count = len(differences)
    parts.append(f"{count} {'parameter differs' if count == 1 else 'parameters differ'}.")
    return " ".join(parts)


def _blank_missing(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(key): None if pd.isna(value) else value for key, value in row.items()}


def _whole(value: float | None) -> str:
    return BLANK if value is None else str(int(value))


def _two_digits(value: float | None) -> str:
    return number(value, 2)


_CELLS = (
    ("delta", signed),
    ("delta_control", signed),
    ("n_blocks", _whole),
    ("dropped_block", _whole),
    ("gmacs", _two_digits),
    ("latency_ms", number),
)
