"""One HTML page with a timeline per video; it opens offline, as the report does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from tad_blockdrop.reporting.style import number
from tad_blockdrop.reporting.timelines import timelines

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
{% include "report.css" %}
</style>
</head>
<body>
<main>
<p class="over">{{ subtitle }}</p>
<h1>{{ title }}</h1>
{% for video in shown %}
<section>
<h2>{{ video.video_id }}</h2>
<p class="note">{{ video.duration | number }} s, {{ video.found }}
{{ "detection" if video.found == 1 else "detections" }}, {{ video.speed | number }} × real time
{%- if not video.found and video.strongest > 0 %}; the strongest, score
{{ video.strongest | number(3) }}, is below the threshold: see predict.min_score{% endif %}</p>
{% if video.found %}
<figure><div class="plot" role="img" aria-label="Timeline of {{ video.video_id }}">
<script type="application/json">{{ video.figure | tojson }}</script></div></figure>
{% endif %}
</section>
{% endfor %}
{% if skipped %}
<section>
<h2>Skipped</h2>
<dl class="facts">
{% for video in skipped %}
<dt>{{ video.video_id }}</dt><dd>{{ video.problem }}</dd>
{% endfor %}
</dl>
</section>
{% endif %}
</main>
<script>{{ plotly | safe }}</script>
<script>
{% include "report.js" %}
</script>
</body>
</html>
"""


def timeline_page(
    detections: pd.DataFrame, videos: pd.DataFrame, classes: Sequence[str], subtitle: str
) -> str:
    """The page as text: a timeline of each video, then what was skipped and why.

    ``detections``: video_id, start, end (s), label, score. ``videos``: video_id, duration (s),
    speed (× real time), strongest (score) and problem, which is None for videos that could be
    read. ``classes``: all that the model knows, each with its colour. ``subtitle`` stands above the
    headline.
    """
    readable = videos[videos["problem"].isna()]
    count = len(detections)
    environment = Environment(
        loader=PackageLoader("tad_blockdrop", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = number
    return environment.from_string(_PAGE).render(
        title=f"{count} {'action' if count == 1 else 'actions'} found in {_videos(len(readable))}",
        subtitle=subtitle,
        shown=[_shown(row, detections, readable, classes) for row in readable.to_dict("records")],
        skipped=videos[videos["problem"].notna()].to_dict("records"),
        plotly=get_plotlyjs(),
    )


def _shown(
    row: dict[Any, Any], detections: pd.DataFrame, videos: pd.DataFrame, classes: Sequence[str]
) -> dict[str, Any]:
    own = detections[detections["video_id"] == row["video_id"]]
    figure = timelines({"detections": own}, videos, [row["video_id"]], classes)
    figure.layout.annotations = ()  # the heading of the section is the title
    return row | {"found": len(own), "figure": json.loads(str(figure.to_json()))}


def _videos(count: int) -> str:
    return f"{count} {'video' if count == 1 else 'videos'}"
