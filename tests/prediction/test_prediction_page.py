"""The page of timelines holds what was found, safely."""

import json
import re

import pandas as pd

from tad_blockdrop.prediction.page import timeline_page

EVIL = "</script><script>alert(1)</script>"
DETECTIONS = pd.DataFrame(
    {
        "video_id": ["a", "a", EVIL],
        "start": [1.00049, 4.0, 0.5],
        "end": [2.5, 5.0, 1.5],
        "label": ["run", "jump", EVIL],
        "score": [0.912345, 0.5, 0.4],
    }
)
CLASSES = ("swim", "jump", "run", EVIL)
VIDEOS = pd.DataFrame(
    [
        {"video_id": "a", "duration": 6.0, "speed": 3.21, "strongest": 0.9, "problem": None},
        {"video_id": EVIL, "duration": 2.0, "speed": 3.0, "strongest": 0.4, "problem": None},
        {"video_id": "dull", "duration": 4.0, "speed": 2.0, "strongest": 0.07, "problem": None},
        {"video_id": "bad", "problem": "it is damaged & <truncated>"},
    ]
)


def test_every_video_has_its_timeline():
    page = timeline_page(DETECTIONS, VIDEOS, CLASSES, "toys · step_01 · 2 blocks")
    figures = [json.loads(f) for f in re.findall(r'<script type="application/json">(.*?)<', page)]
    assert [figure["layout"]["xaxis"]["range"][1] for figure in figures] == [6, 2]
    bars = [sum(len(b["base"]) for b in f["data"] if "base" in b) for f in figures]
    assert bars == [2, 1]
    assert "<h2>dull</h2>" in page
    assert "3 actions found in 3 videos" in page
    assert re.search(r"the strongest, score\s+0\.070, is below", page)


def test_foreign_text_cannot_break_out():
    page = timeline_page(DETECTIONS, VIDEOS, CLASSES, EVIL)
    assert EVIL not in page
    assert "it is damaged &amp; &lt;truncated&gt;" in page


def test_nothing_is_asked_of_the_network():
    page = timeline_page(DETECTIONS, VIDEOS, CLASSES, "")
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(?!data:)', page)
