"""One HTML page with a timeline per video."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tad_blockdrop.reporting.pages.rendering import records, render
from tad_blockdrop.reporting.plots.timelines import timelines


def timeline_page(
    detections: pd.DataFrame, videos: pd.DataFrame, classes: Sequence[str], subtitle: str
) -> str:
    """The page as text: a timeline of each video, then what was skipped and why.

    ``detections``: video_id, start, end (s), label, score. ``videos``: video_id, duration (s),
    speed (a multiple of real time), strongest (score) and problem, which is None for videos that
    could be read. ``classes``: all that the model knows, each with its colour. ``subtitle`` stands
    above the headline.
    """
    readable = videos[videos["problem"].isna()]
    found = dict(list(detections.groupby("video_id")))
    shown = []
    for row in records(readable):
        own = found.get(row["video_id"], detections.head(0))
        figure = timelines({"detections": own}, readable, [row["video_id"]], classes)
        figure.layout.annotations = ()  # the heading of the section is the title
        shown.append(row | {"found": len(own), "figure": figure})
    values = {
        "subtitle": subtitle,
        "found": len(detections),
        "shown": shown,
        "skipped": records(videos[videos["problem"].notna()]),
    }
    return render("predictions.html.j2", values)
