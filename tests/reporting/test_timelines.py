"""Tests of tad_blockdrop.reporting.plots.timelines."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.reporting.plots.timelines import timelines
from tad_blockdrop.reporting.style import PALETTE

VIDEOS = pd.DataFrame({"video_id": ["a", "b"], "duration": [10.0, 20.0]})
TRUE = pd.DataFrame(
    {"video_id": ["a", "b"], "label": ["jump", "run"], "start": [1.0, 2.0], "end": [4.0, 9.0]}
)
FOUND = pd.DataFrame(
    {
        "video_id": ["a", "a", "a"],
        "label": ["jump", "run", "jump"],
        "start": [1.0, 2.0, 6.0],
        "end": [4.0, 5.0, 8.0],
        "score": [0.8, 0.2, 0.4],
    }
)


def bars(figure, panel="y"):
    """(start, end, bottom, top, opacity, label) of every bar of a panel."""
    return sorted(
        (base, base + length, y - width / 2, y + width / 2, opacity, trace["text"])
        for trace in json.loads(figure.to_json())["data"]
        if "text" in trace and trace["yaxis"] == panel
        for base, length, y, width, opacity in zip(
            trace["base"],
            trace["x"],
            trace["y"],
            trace["width"],
            trace["marker"]["opacity"],
            strict=True,
        )
    )


def test_bars_lie_where_the_segments_are():
    figure = timelines({"true": TRUE, "found": FOUND}, VIDEOS, ["a", "b"])
    in_a, in_b = bars(figure), bars(figure, "y2")
    assert [(bar[0], bar[1], bar[5]) for bar in in_a] == [
        (1.0, 4.0, "jump"),
        (1.0, 4.0, "jump"),
        (2.0, 5.0, "run"),
        (6.0, 8.0, "jump"),
    ]
    assert [(bar[0], bar[1], bar[5]) for bar in in_b] == [(2.0, 9.0, "run")]
    assert (figure.layout.xaxis.range, figure.layout.xaxis2.range) == ((0, 10.0), (0, 20.0))


def test_only_overlapping_bars_share_the_height_of_their_row():
    heights = {bar[:2]: bar[3] - bar[2] for bar in bars(timelines({"f": FOUND}, VIDEOS, ["a"]))}
    assert heights == pytest.approx({(1.0, 4.0): 0.4, (2.0, 5.0): 0.4, (6.0, 8.0): 0.8})


def test_weaker_is_fainter():
    by_start = {bar[0]: bar[4] for bar in bars(timelines({"f": FOUND}, VIDEOS, ["a"]))}
    assert by_start[1.0] == 1.0
    assert by_start[1.0] > by_start[6.0] > by_start[2.0] > 0


spans = st.tuples(st.integers(0, 30), st.integers(1, 10))


@settings(max_examples=30)
@given(st.lists(spans, min_size=1, max_size=25))
def test_no_bar_covers_another(segments):
    table = pd.DataFrame(
        [{"video_id": "a", "label": "x", "start": s, "end": s + d} for s, d in segments]
    )
    drawn = bars(timelines({"one": table}, VIDEOS, ["a"]))
    assert len(drawn) == len(segments)
    for i, (start, end, bottom, top, *_rest) in enumerate(drawn):
        assert -0.4 - 1e-9 <= bottom < top <= 0.4 + 1e-9
        for start_2, end_2, bottom_2, top_2, _, _ in drawn[i + 1 :]:
            together = start < end_2 and start_2 < end
            assert not (together and bottom < top_2 - 1e-9 and bottom_2 < top - 1e-9)


def test_a_class_keeps_its_colour_in_all_panels_and_none_are_alike():
    labels = [f"class {i:02d}" for i in range(20)]
    table = pd.DataFrame(
        {"video_id": "a", "label": labels, "start": range(20), "end": range(1, 21)}
    )
    figure = timelines({"t": table, "u": table.assign(video_id="b")}, VIDEOS, ["a", "b"])
    looks = {}
    for trace in json.loads(figure.to_json())["data"]:
        marker = trace["marker"]
        looks.setdefault(trace["name"] if "name" in trace else trace["text"], set()).add(
            (marker["color"], marker["pattern"]["shape"])
        )
    assert {len(look) for look in looks.values()} == {1}
    assert len(set.union(*looks.values())) == len(labels)


def test_foreign_text_stays_text(hostile):
    table = FOUND.replace({"jump": hostile, "a": hostile})
    videos = VIDEOS.replace({"a": hostile})
    text = timelines({hostile: table}, videos, [hostile]).to_json()
    for form in ("<img", "\\u003cimg"):
        assert form not in text


def test_an_unknown_video():
    with pytest.raises(ValueError, match=r"no such videos.*nowhere"):
        timelines({"true": TRUE}, VIDEOS, ["nowhere"])


def test_no_videos_and_no_detections():
    assert bars(timelines({"true": TRUE}, VIDEOS, [])) == []
    assert bars(timelines({"found": FOUND.head(0)}, VIDEOS, ["a"])) == []


def test_figures_of_the_same_classes_have_the_same_colours():
    classes = ("swim", "run", "jump")

    def colours(video):
        figure = timelines({"true": TRUE}, VIDEOS, [video], classes)
        return {trace.name: trace.marker.color for trace in figure.data if trace.name}

    assert colours("a") == {"jump": PALETTE[2]}
    assert colours("b") == {"run": PALETTE[1]}


def test_many_bars_are_not_hidden_by_their_outlines():
    def outlines(count):
        rows = [("a", "jump", i / count, (i + 0.5) / count) for i in range(count)]
        table = pd.DataFrame(rows, columns=["video_id", "label", "start", "end"])
        figure = timelines({"found": table}, VIDEOS, ["a"])
        return {trace.marker.line.width for trace in figure.data if not trace.name}

    assert outlines(20) == {1}
    assert outlines(2000) == {0}
