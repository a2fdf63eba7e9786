"""The pages hold all that was found, safely and in bounded sizes, least sure first."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from tests.review.conftest import CLASSES, MODEL, detections, table_of_videos

from tad_blockdrop.datasets.tables import LinkedPages
from tad_blockdrop.reporting.style import colour_of
from tad_blockdrop.review.page import file_pages
from tad_blockdrop.review.predictions import Predictions, doubts

EVIL = "</script><script>alert(1)</script><!--"
NOWHERE = Path("no copies")


def pages_of(found, videos, truth=None, **model):
    return file_pages(Predictions(found, videos, MODEL | model, truth or {}), NOWHERE)


def page_of(found, videos, truth=None, **model):
    [(name, page)] = pages_of(found, videos, truth, **model).items()
    assert name == "predictions.html"
    return page


def data_of(page):
    """What the page's script reads."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


def test_a_page_holds_what_was_found_and_what_is_true():
    truth = {"a": {"video": "v_a", "actions": [["run", 1.0, 2.4], ["fly", 3.0, 3.5]]}}
    videos = table_of_videos(video_id=["a", "dull"], strongest=[0.9, 0.07])
    found = detections(("a", 1.00049, 2.5, "run", 0.912345), ("a", 4.0, 5.0, "jump", 0.5))
    page = page_of(found, videos, truth)
    assert "2 actions found in 2 videos" in page
    data = data_of(page)
    a = next(video for video in data["videos"] if video["id"] == "a")
    assert a["found"] == [
        {"label": "run", "start": 1.0, "end": 2.5, "score": 0.9123},
        {"label": "jump", "start": 4.0, "end": 5.0, "score": 0.5},
    ]
    assert a["truth"][0] == {"label": "run", "start": 1.0, "end": 2.4}
    assert (a["key"], a["annotated"], a["source"]) == ("v_a", True, "file:///none.mp4")
    assert [kind["name"] for kind in data["classes"]] == [*CLASSES, "fly"]
    assert [kind["colour"] for kind in data["classes"]] == [colour_of(k) for k in range(4)]
    assert data["classes"][1]["threshold"] == 0.3


def test_detections_that_corrections_cannot_tell_apart_are_shown_as_one():
    """To the millisecond; else the page would judge it twice, which is refused."""
    rows = [
        ("a", 1.0, 2.5, "run", 0.4),
        ("a", 1.0, 2.5, "jump", 0.6),
        ("a", 1.0003, 2.5, "run", 0.8),
    ]
    [video] = data_of(page_of(detections(*rows), table_of_videos(video_id=["a"])))["videos"]
    assert [(one["label"], one["score"]) for one in video["found"]] == [("run", 0.8), ("jump", 0.6)]
    assert video["left"] == 0


def test_probabilities_and_what_to_expect_are_on_the_page():
    found = detections(("a", 1, 2.5, "run", 0.9)).assign(probability=0.71234)
    page = page_of(found, table_of_videos(video_id=["a"]), expected=["Expect <b>.", "Or not."])
    assert data_of(page)["videos"][0]["found"][0]["probability"] == 0.7123
    assert "Expect &lt;b&gt;. Or not." in page


def test_the_least_sure_come_first():
    videos = table_of_videos(
        video_id=["sure", "near", "empty", "nearly"], strongest=[0.9, 0.4, 0.02, 0.19]
    )
    found = detections(
        ("sure", 0, 1, "run", 0.9), ("near", 0, 1, "jump", 0.3), ("near", 1, 2, "jump", 0.33)
    )
    doubt = doubts(found, videos, MODEL)
    assert doubt.round(3).tolist() == [0.222, 0.955, 0.1, 0.95]
    order = [video["id"] for video in data_of(page_of(found, videos))["videos"]]
    assert order == ["near", "nearly", "sure", "empty"]


def test_foreign_text_cannot_break_out():
    videos = table_of_videos(
        video_id=[EVIL, "bad"],
        path=[f"/{EVIL}/a.mp4", "/b"],
        problem=[None, "it is damaged & <cut>"],
    )
    found = detections((EVIL, 0.5, 1.5, EVIL, 0.4))
    truth = {EVIL: {"video": EVIL, "actions": [[EVIL, 0, 1]]}}
    page = page_of(found, videos, truth, title=EVIL, classes=[EVIL], thresholds={EVIL: 0.2})
    assert EVIL not in page
    assert page.count("</script>") == 2  # of the data and of the code
    assert "it is damaged &amp; &lt;cut&gt;" in page
    [video] = data_of(page)["videos"]
    assert video["id"] == video["found"][0]["label"] == EVIL


def test_nothing_is_asked_of_the_network():
    page = page_of(detections(), table_of_videos(video_id=["a"]))
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(?!data:)', page)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    assert "default-src 'none'" in policy
    assert policy.endswith("media-src file: blob:")


def many(n_videos, each):
    ids = [f"v{number:05d}" for number in range(n_videos)]
    rows = [(i, k / 100, k / 100 + 2.5, "run", 0.1 + k / 1e5) for i in ids for k in range(each)]
    return detections(*rows), table_of_videos(video_id=ids)


@pytest.mark.parametrize(
    ("videos", "each", "pages"), [(1000, 12, 10), (250, 100, 5), (3, 5000, 3), (100, 1, 1)]
)
def test_many_videos_are_shared_among_small_pages(videos, each, pages):
    found = pages_of(*many(videos, each))
    assert len(found) == pages
    assert max(len(page) for page in found.values()) < 1_000_000
    data = [video for page in found.values() for video in data_of(page)["videos"]]
    assert [video["id"] for video in data] == [f"v{number:05d}" for number in range(videos)]
    assert sum(len(video["found"]) for video in data) == videos * each
    for name, page in found.items():
        linked = set(re.findall('<a href="(.*?)"', page))
        assert linked == (set(found) - {name} if pages > 1 else set())


def test_of_one_video_with_very_many_detections_the_strongest_are_shown():
    [video] = data_of(page_of(*many(1, 7000)))["videos"]
    assert (len(video["found"]), video["left"]) == (5000, 2000)
    assert min(one["score"] for one in video["found"]) == 0.12


def test_of_very_many_skipped_videos_some_are_named():
    bad = pd.DataFrame({"video_id": [f"bad{i}" for i in range(301)], "problem": "it is damaged"})
    page = page_of(detections(), pd.concat([table_of_videos(video_id=["a"]), bad]))
    assert page.count("it is damaged") == 200
    assert "And 101 more" in page


def test_pages_are_saved_side_by_side(tmp_path):
    entry = LinkedPages(filepath=str(tmp_path / "predictions.html"))
    entry.save({"predictions.html": "one", "predictions_2.html": "two"})
    assert entry.load() == "one"
    assert (tmp_path / "predictions_2.html").read_text() == "two"
