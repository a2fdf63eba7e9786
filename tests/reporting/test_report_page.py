"""Tests of tad_blockdrop.reporting.pages.report."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from browser import CHROMIUM, page_that

from tad_blockdrop.compression.criteria import find_criterion
from tad_blockdrop.reporting.pages.report import Figures, render_report
from tad_blockdrop.reporting.plots.accuracy import accuracy_against_cost
from tad_blockdrop.reporting.plots.classes import class_change
from tad_blockdrop.reporting.plots.importance import block_importance
from tad_blockdrop.reporting.plots.repairs import repair_errors
from tad_blockdrop.reporting.plots.timelines import timelines
from tad_blockdrop.reporting.plots.training import training_curves
from tad_blockdrop.reporting.result_table import build_result_table, class_changes

WORDS = find_criterion("train_map")


class Page(HTMLParser):
    """What a browser would make of a report: its tags, its texts, its embedded JSON."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.texts, self.figures, self._inside = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if attributes.get("type") == "application/json":
            self.figures.append(json.loads(data))
        elif tag not in ("script", "style"):
            self.texts.append(" ".join(data.split()))

    @property
    def text(self):
        return " ".join(self.texts)


@pytest.fixture
def figures(results, costs, scores, history, classes, hostile):
    segments = pd.DataFrame(
        {"video_id": ["v"], "label": [hostile], "start": [1.0], "end": [2.0], "score": [0.5]}
    )
    videos = pd.DataFrame({"video_id": ["v"], "duration": [5.0]})
    return Figures(
        accuracy={
            "GMACs": accuracy_against_cost(results, costs, "gmacs"),
            "latency": accuracy_against_cost(results, costs, "latency_ms"),
        },
        importance=block_importance(scores, WORDS),
        training=training_curves(history),
        classes=class_change(class_changes(classes, "uncompressed", "step_02")),
        timelines=timelines({"true": segments}, videos, ["v"]),
    )


@pytest.fixture
def source(facts, results, costs, scores, figures):
    return render_report(results, costs, scores, facts, figures)


@pytest.fixture
def page(source):
    return Page(source)


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name) in (None, "data:,"), (tag, name, attributes[name])
    policy = next(a["content"] for _, a in page.tags if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_style_loads_nothing(source):
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_every_figure_is_embedded_and_readable(page):
    assert len(page.figures) == 6
    assert all(figure["data"] and figure["layout"] for figure in page.figures)


def test_plotly_is_there_once(source):
    assert source.count("* plotly.js v") == 1


def test_foreign_text_makes_no_tags(page, source, hostile):
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "<img" not in source.replace("&lt;img", "")[: source.index("* plotly.js v")]
    assert hostile in page.text
    assert "try <one>" in page.text


def test_headline_and_explanation(page):
    assert "4 → 2 blocks, latency −45 %, mAP −4.0 against the uncompressed model" in page.texts
    assert "Difference to the uncompressed model: −4.0 points (95 % interval −6.0 to −2.5)" in (
        page.text
    )
    assert "over 5 of 5 videos" in page.text


@pytest.mark.parametrize(
    ("final", "measured", "expected"),
    [
        ("step_01", 3, "4 → 3 blocks, latency −20 %, mAP −2.0 against the equally trained control"),
        ("step_02", 1, "4 → 2 blocks, GMACs −50 %, mAP −4.0 against the uncompressed model"),
        ("uncompressed", 3, "All 4 blocks kept: no shorter model was selected"),
    ],
)
def test_headline_of(final, measured, expected, facts, results, costs, scores):
    facts = replace(facts, final_model=final)
    page = render_report(results, costs.head(measured), scores, facts, Figures())
    assert f"<title>try &lt;one&gt;: {expected}</title>" in page.replace("&nbsp;", " ")


def test_the_front_is_told(page, facts, models, intervals, costs, scores, figures):
    assert "front of accuracy and latency, from fast to slow: step 2, step 1, uncompressed." in (
        page.text
    )
    worse = models.copy()
    tious = ["map@0.30", "map@0.70"]
    worse.loc[worse["model"] == "step_01", tious] = 50.0
    worse = build_result_table(worse, intervals)
    told = Page(render_report(worse, costs, scores, facts, figures)).text
    assert "from fast to slow: step 2, uncompressed." in told
    assert "as fast and as accurate: step 1." in told


def test_the_criterion_is_explained(page):
    assert f"Score: train_map. {WORDS.explanation}" in page.texts


def test_an_unknown_final_model(facts, results, costs, scores):
    with pytest.raises(ValueError, match="step_09"):
        render_report(results, costs, scores, replace(facts, final_model="step_09"), Figures())


def test_tables_hold_all_models_and_races(page):
    for name in ("uncompressed", "step 1", "step 2 (final)", "control 1", "one shot 2"):
        assert name in page.texts
    assert {"63.00", "62.25", "0.75"} <= set(page.texts)


def test_repairs_have_a_section_where_there_are_some(
    facts, results, costs, scores, figures, repairs, source
):
    assert "repairs put back" not in source
    shown = replace(figures, repairs=repair_errors(repairs))
    page = Page(render_report(results, costs, scores, facts, shown))
    assert "What the repairs put back" in page.texts
    assert len(page.figures) == 7


def test_a_run_without_control_one_shot_or_figures(facts, models, intervals, costs, scores):
    few = models[models["family"].isin(["uncompressed", "progressive"])]
    results = build_result_table(few, intervals)
    page = Page(render_report(results, costs, scores, facts, Figures()))
    assert page.figures == []
    assert {text for text in page.texts if "control" in text} == {"report.control"}  # a parameter
    assert "Training" not in page.texts
    assert "step 1" in page.texts


def test_a_single_skipped_step(facts, models, intervals, costs, scores):
    few = models[models["model"].isin(["uncompressed", "step_01"])].copy()
    few.loc[few["model"] == "step_01", ["skipped", "kept_blocks"]] = [True, "0 1 2 3"]
    results = build_result_table(few.assign(dropped_block=None), intervals)
    final = replace(facts, final_model="step_01")
    page = Page(render_report(results, costs, scores.head(0), final, Figures()))
    assert "step 1 (final) (skipped)" in page.texts
    assert "All 4 blocks kept" in page.text
    assert "Which block was dropped" not in page.text


def test_missing_costs_are_dashes(facts, results, costs, scores):
    page = Page(render_report(results, costs.head(0), scores, facts, Figures()))
    assert "nan" not in page.text.lower().split()
    assert page.texts.count("–") > 20


def test_all_facts_are_told(page):
    for text in ("compress.stop.max_loss", "null", "[0.3, 0.7]", "torch 2.14.0", "5 of 5 videos"):
        assert text in page.text
    assert "Linux x86_64, cpu, 1 thread" in page.texts


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_a_browser_draws_every_figure(source, tmp_path):
    report = tmp_path / "report.html"
    report.write_text(source, encoding="utf-8")
    # One container a figure, the one in the unchosen tab included; errors go to the console.
    container = 'class="user-select-none svg-container"'
    html, log = page_that(
        lambda html: html.count(container) >= 6, report.as_uri(), tmp_path / "profile"
    )
    assert html.count(container) == 6
    assert "CONSOLE" not in log
