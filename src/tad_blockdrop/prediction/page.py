"""HTML pages with a timeline per video: as many as it takes, each of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from tad_blockdrop.reporting.pages.rendering import records, render
from tad_blockdrop.reporting.style import PALETTE

FIRST_PAGE = "predictions.html"
VIDEOS_PER_PAGE = 100
BARS_PER_PAGE = 5000  # a video with more shows its strongest detections
SKIPPED_SHOWN = 200
FAINTEST = 0.4


def timeline_pages(
    detections: pd.DataFrame, videos: pd.DataFrame, classes: Sequence[str], subtitle: str
) -> dict[str, str]:
    """The pages by file name, ``FIRST_PAGE`` first: a timeline of each video, what was skipped.

    ``detections``: video_id, start, end (s), label, score. ``videos``: video_id, duration (s),
    speed (a multiple of real time), strongest (score) and problem, which is None for videos that
    could be read. ``classes``: all that the model knows, each with its colour. ``subtitle`` stands
    above the headline.
    """
    readable = videos[videos["problem"].isna()]
    skipped = records(videos[videos["problem"].notna()])
    colours = {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(classes)}
    found = dict(list(detections.groupby("video_id")))
    shown = []
    for row in records(readable):
        own = found.get(row["video_id"], detections.head(0))
        shown.append(row | {"found": len(own), "rows": _rows(own, row["duration"], colours)})
    parts = list(_parts(shown)) or [[]]
    names = [FIRST_PAGE, *(f"predictions_{number}.html" for number in range(2, len(parts) + 1))]
    links = [
        {"name": name, "first": part[0]["video_id"], "last": part[-1]["video_id"]}
        for name, part in zip(names, parts, strict=True)
        if len(parts) > 1
    ]
    values = {
        "subtitle": subtitle,
        "found": len(detections),
        "videos": len(readable),
        "links": links,
        "more_skipped": len(skipped) - SKIPPED_SHOWN,
    }
    return {
        name: render(
            "predictions.html.j2",
            values
            | {"shown": part, "page": name, "skipped": skipped[:SKIPPED_SHOWN] if i == 0 else []},
        )
        for i, (name, part) in enumerate(zip(names, parts, strict=True))
    }


def _rows(own: pd.DataFrame, duration: float, colours: dict[str, str]) -> list[dict[str, Any]]:
    """A row per class that was found, in the model's order: bars with place and width in %."""
    own = own.nlargest(BARS_PER_PAGE, "score").sort_values(["start", "end"], kind="stable")
    strongest = own["score"].max() or 1.0
    bars: dict[str, list[dict[str, Any]]] = {}
    for start, end, label, score in own[["start", "end", "label", "score"]].itertuples(index=False):
        bar = {
            "left": 100 * start / duration,
            "width": 100 * (end - start) / duration,
            "opacity": FAINTEST + (1 - FAINTEST) * score / strongest,
            "title": f"{start:.1f} to {end:.1f} s, score {score:.3f}",
        }
        bars.setdefault(label, []).append(bar)
    order = {label: number for number, label in enumerate(colours)}
    return [
        {
            "label": label,
            "colour": colours.get(label, PALETTE[-1]),
            "bars": bars[label],
            "n": len(bars[label]),
        }
        for label in sorted(bars, key=lambda label: (order.get(label, len(order)), label))
    ]


def _parts(shown: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The videos of each page."""
    part: list[dict[str, Any]] = []
    bars = 0
    for video in shown:
        own = sum(row["n"] for row in video["rows"])
        if part and (len(part) == VIDEOS_PER_PAGE or bars + own > BARS_PER_PAGE):
            yield part
            part, bars = [], 0
        part.append(video)
        bars += own
    if part:
        yield part
