"""The page of timelines holds what was found, safely."""

import re

import pandas as pd
import pytest

from tad_blockdrop.datasets.tables import LinkedPages
from tad_blockdrop.prediction.page import timeline_pages

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


def page_of(detections, videos, subtitle=""):
    [(name, page)] = timeline_pages(detections, videos, CLASSES, subtitle).items()
    assert name == "predictions.html"
    return page


def test_every_video_has_its_timeline():
    page = page_of(DETECTIONS, VIDEOS, "toys · step_01 · 2 blocks")
    bars = re.findall(r'<i style="left:([\d.]+)%;width:([\d.]+)%.*?title="(.*?)"', page)
    assert bars == [
        ("66.667", "16.667", "4.0 to 5.0 s, score 0.500"),  # jump comes before run
        ("16.675", "24.992", "1.0 to 2.5 s, score 0.912"),
        ("25.000", "50.000", "0.5 to 1.5 s, score 0.400"),
    ]
    assert page.count('aria-label="Timeline of') == 2
    assert "<h2>dull</h2>" in page
    assert "3 actions found in 3 videos" in page
    assert re.search(r"the strongest, score\s+0\.070, is below", page)
    assert "<nav" not in page


def test_foreign_text_cannot_break_out():
    page = page_of(DETECTIONS, VIDEOS, EVIL)
    assert EVIL not in page
    assert "it is damaged &amp; &lt;truncated&gt;" in page


def test_nothing_is_asked_of_the_network():
    page = page_of(DETECTIONS, VIDEOS)
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(?!data:)', page)


def many(n_videos, detections_each):
    ids = [f"v{number:05d}" for number in range(n_videos)]
    videos = pd.DataFrame(
        {"video_id": ids, "duration": 60.0, "speed": 2.0, "strongest": 0.9, "problem": None}
    )
    detections = pd.DataFrame(
        [(i, k % 50, k % 50 + 2.5, "run", 0.1 + k / 1e5) for i in ids for k in detections_each],
        columns=["video_id", "start", "end", "label", "score"],
    )
    return detections, videos


@pytest.mark.parametrize(
    ("videos", "each", "pages"), [(1000, 12, 10), (250, 100, 5), (3, 5000, 3), (100, 1, 1)]
)
def test_many_videos_are_shared_among_small_pages(videos, each, pages):
    found = timeline_pages(*many(videos, range(each)), CLASSES, "")
    assert len(found) == pages
    assert max(len(page) for page in found.values()) < 1_000_000
    headings = [h for page in found.values() for h in re.findall("<h2>(v.*?)</h2>", page)]
    assert headings == [f"v{number:05d}" for number in range(videos)]
    assert sum(page.count("<i style") for page in found.values()) == videos * each
    for name, page in found.items():
        linked = set(re.findall('<a href="(.*?)"', page))
        assert linked == (set(found) - {name} if pages > 1 else set())


def test_of_one_video_with_very_many_detections_the_strongest_are_shown():
    page = page_of(*many(1, range(7000)))
    assert page.count("<i style") == 5000
    assert "7000 detections" in page
    assert "; the strongest 5000 are shown" in page
    assert "score 0.120" in page
    assert "score 0.119" not in page


def test_of_very_many_skipped_videos_some_are_named():
    videos = pd.DataFrame({"video_id": [f"bad{i}" for i in range(300)], "problem": "it is damaged"})
    page = page_of(DETECTIONS, pd.concat([VIDEOS, videos]))
    assert page.count("it is damaged") == 200
    assert "And 101 more" in page


def test_pages_are_saved_side_by_side(tmp_path):
    entry = LinkedPages(filepath=str(tmp_path / "predictions.html"))
    entry.save({"predictions.html": "one", "predictions_2.html": "two"})
    assert entry.load() == "one"
    assert (tmp_path / "predictions_2.html").read_text() == "two"
