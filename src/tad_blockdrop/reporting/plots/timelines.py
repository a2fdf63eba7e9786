"""Timelines: what happens in a video and what models found in it, one under the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tad_blockdrop.reporting.style import (
    DARK_ENOUGH_FOR_WHITE,
    INK,
    colour_of,
    dressed,
    escaped,
    left_titles,
    pattern_of,
)

LONGEST_ID = 40
LONGEST_LABEL = 24
FAINTEST = 0.6
PIXELS_PER_ROW = 34
PIXELS_BETWEEN = 64
MOST_OUTLINED = 200  # bars of a panel; of more, their outlines would hide their colours


def timelines(
    rows: Mapping[str, pd.DataFrame],
    videos: pd.DataFrame,
    video_ids: Sequence[str],
    classes: Sequence[str] = (),
) -> go.Figure:
    """One panel per video, one row per source of segments, one bar per segment.

    ``rows`` maps what a row is called ("true actions", "uncompressed", ...) to its table:
    video_id, start, end (s), label and, for detections, score. Stronger detections are more
    opaque, relative to the strongest of their row in all videos shown. ``videos`` has video_id and
    duration (s). Colours follow ``classes``, so that figures which share them agree; labels not
    among them take what comes next. Raises ``ValueError`` for an id that ``videos`` does not list.
    """
    durations = dict(zip(videos["video_id"], videos["duration"], strict=True))
    unknown = [video for video in video_ids if video not in durations]
    if unknown:
        raise ValueError(f"no such videos in the table of videos: {unknown}")
    shown = {name: _shown(table, video_ids) for name, table in rows.items()}
    present = {label for table in shown.values() for label in table["label"]}
    order = [*classes, *sorted(present.difference(classes))]
    kinds = {label: kind for kind, label in enumerate(order) if label in present}
    panels = max(1, len(video_ids))
    height = panels * (PIXELS_PER_ROW * len(rows) + PIXELS_BETWEEN) + 60
    figure = make_subplots(
        rows=panels,
        subplot_titles=[escaped(video, LONGEST_ID) for video in video_ids] or None,
        vertical_spacing=min(PIXELS_BETWEEN / height, 1 / panels),
    )
    for row, video in enumerate(video_ids, start=1):
        bars = _placed(shown, video)
        outline = 1 if len(bars) <= MOST_OUTLINED else 0
        for label, kind in kinds.items():
            _add_bars(figure, row, bars[bars["label"] == label], label, kind, outline)
        figure.update_xaxes(range=[0, durations[video]], ticksuffix=" s", row=row)
    _legend(figure, kinds)
    dressed(figure, height)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[escaped(name) for name in rows],
        range=[len(rows) - 0.45, -0.55],
        showgrid=False,
    )
    figure.update_layout(
        barmode="overlay",
        uniformtext={"minsize": 9, "mode": "hide"},
        legend={"y": 1 + 34 / height, "itemclick": False, "itemdoubleclick": False},
    )
    left_titles(figure)
    return figure


def _shown(table: pd.DataFrame, video_ids: Sequence[str]) -> pd.DataFrame:
    """The rows of the given videos with an opacity each."""
    own = table[table["video_id"].isin(list(video_ids))]
    if "score" not in own or own.empty:
        return own.assign(opacity=1.0, score=float("nan"))
    strength = own["score"] / own["score"].max()
    return own.assign(opacity=FAINTEST + (1 - FAINTEST) * strength)


def _placed(shown: Mapping[str, pd.DataFrame], video: str) -> pd.DataFrame:
    """All bars of a video with their place and height in units of rows."""
    parts = []
    for row, (name, table) in enumerate(shown.items()):
        own = table[table["video_id"] == video].sort_values(["start", "end"], kind="stable")
        lanes = _lanes(list(zip(own["start"], own["end"], strict=True)))
        heights = [0.8 / of for _, of in lanes]
        places = [row - 0.4 + (lane + 0.5) * 0.8 / of for lane, of in lanes]
        parts.append(own.assign(place=places, height=heights, source=name))
    return pd.concat(parts, ignore_index=True)


def _lanes(segments: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Lane and number of lanes of each segment, given by rising start.

    Only segments that overlap, directly or through others, share the height of their row.
    """
    result: list[tuple[int, int]] = []
    group: list[int] = []
    ends: list[float] = []
    for start, end in segments:
        if all(busy <= start for busy in ends):
            result += [(lane, len(ends)) for lane in group]
            group, ends = [], []
        lane = next((lane for lane, busy in enumerate(ends) if busy <= start), len(ends))
        ends[lane : lane + 1] = [end]
        group.append(lane)
    return result + [(lane, len(ends)) for lane in group]


def _add_bars(
    figure: go.Figure, row: int, bars: pd.DataFrame, label: str, kind: int, outline: int
) -> None:
    if bars.empty:
        return
    colour = colour_of(kind)
    figure.add_bar(
        x=[float(v) for v in bars["end"] - bars["start"]],
        base=[float(v) for v in bars["start"]],
        y=[float(v) for v in bars["place"]],
        width=[float(v) for v in bars["height"]],
        orientation="h",
        marker=_fill(kind, outline) | {"opacity": [float(v) for v in bars["opacity"]]},
        text=escaped(label),
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        insidetextfont={"color": "#fff" if colour in DARK_ENOUGH_FOR_WHITE else "#111"},
        hovertext=[_hover(bar) for bar in bars.to_dict("records")],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
        row=row,
        col=1,
    )


def _fill(kind: int, outline: int) -> dict[str, object]:
    return {
        "color": colour_of(kind),
        "line": {"color": INK, "width": outline},
        "pattern": {"shape": pattern_of(kind), "fillmode": "overlay"},
    }


def _hover(bar: Mapping[Any, Any]) -> str:
    text = f"<b>{escaped(bar['label'])}</b> {bar['start']:.1f} to {bar['end']:.1f} s"
    score = "" if pd.isna(bar["score"]) else f", score {bar['score']:.3f}"
    return f"{text}<br>{escaped(bar['source'])}{score}"


def _legend(figure: go.Figure, kinds: Mapping[str, int]) -> None:
    """Legend entries of their own, as true actions."""
    for label, kind in kinds.items():
        figure.add_bar(
            x=[None],
            y=[None],
            orientation="h",
            name=escaped(label, LONGEST_LABEL),
            marker=_fill(kind, outline=1),
        )
