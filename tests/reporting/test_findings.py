"""Tests of tad_blockdrop.reporting.findings and of what the report says with them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import detections, instances

from tad_blockdrop.config import DataConfig, EvaluationConfig, PostprocessConfig, RuntimeConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.metrics.bouts import bout_table, time_table
from tad_blockdrop.metrics.deciding import decide
from tad_blockdrop.metrics.error_analysis import analyse, mending
from tad_blockdrop.metrics.evidence import gather_evidence
from tad_blockdrop.metrics.operating_point import thresholds
from tad_blockdrop.metrics.rates import rates
from tad_blockdrop.pipelines.report.nodes import rate_points
from tad_blockdrop.reporting.findings import (
    Findings,
    case_table,
    describe_cases,
    kind_table,
    missed_table,
    verdict,
    warnings,
    worst_cases,
)
from tad_blockdrop.reporting.numbers import rate_words
from tad_blockdrop.reporting.pages.report import Figures, render_report
from tad_blockdrop.reporting.points import COLUMNS, REPORTED, point_rows, point_table
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset

VIDEOS = pd.DataFrame({"video_id": ["a", "b"], "duration": [60.0, 30.0], "path": ["/a", "/b"]})
TRUTH = instances(
    ("a", 0, 10, "run"), ("a", 20, 30, "run"), ("a", 40, 42, "jump"), ("b", 0, 20, "jump")
)
FOUND = detections(
    ("a", 0, 10, "run", 0.9), ("a", 21, 30, "run", 0.8), ("a", 0, 9, "run", 0.7),
    ("a", 40, 50, "jump", 0.6), ("a", 50, 55, "jump", 0.5),
)  # fmt: skip

PROMISED = (0.9, 0.8, 0.95)
POINTS = pd.DataFrame(
    [
        ["f1", np.nan, *PROMISED * 3, 0.5, 0.4, 0.6, *[np.nan] * 3, 1.25, 1, 2],
        ["precision", 0.9, *[np.nan] * 9, *PROMISED * 3],
    ],
    columns=COLUMNS,
)


def analysed():
    analysis = analyse(FOUND, TRUTH, list(VIDEOS["video_id"]), 0.5)
    return analysis, case_table(FOUND, analysis)


def findings(found=FOUND, truth=TRUTH):
    ids = list(VIDEOS["video_id"])
    analysis = analyse(found, truth, ids, 0.5)
    cases = case_table(found, analysis)
    return Findings(
        rates(found, truth, ids, 0.5, 100),
        kind_table(cases, mending(found, truth, ids, [0.5])),
        missed_table(analysis, VIDEOS),
        describe_cases(worst_cases(cases), VIDEOS),
        time_table(bout_table(found, truth, ids)).assign(edit=0.625),
        POINTS,
    )


def test_cases_say_what_each_detection_and_missed_action_is():
    cases = analysed()[1]
    assert list(cases["kind"]) == [
        "right", "right", "double detection", "localisation", "background", "missed", "missed",
    ]  # fmt: skip
    near = cases.iloc[3]
    assert (near.true_label, near.true_start, near.true_end) == ("jump", 40, 42)
    assert cases.iloc[4][["true_label", "true_start"]].isna().all()
    assert list(cases.iloc[5:].video_id) == ["a", "b"]


def test_kinds_are_counted():
    table = findings().kinds.set_index("kind")
    assert table["count"].to_dict() == {
        "right": 2, "double detection": 1, "wrong label": 0, "localisation": 1, "confusion": 0,
        "background": 1, "missed": 2,
    }  # fmt: skip
    assert np.isnan(table.gain["right"])
    # jump has an average precision of 0 of 2: one found at the top gives 1/2, both give 1
    assert table.gain["localisation"] == pytest.approx(25)
    assert table.gain["missed"] == pytest.approx(50)


def test_missed_actions_are_grouped_by_length_and_density():
    table = findings().missed
    assert list(table.groupby("by")["actions"].sum()) == [4, 4]
    assert list(table.groupby("by")["missed"].sum()) == [2, 2]
    shortest = table[table["by"] == "length"].iloc[0]
    assert (shortest.low, shortest.actions, shortest.missed) == (2, 1, 1)
    assert set(table.loc[table["by"] == "density", "low"]) == {2.0, 3.0}  # a minute


def test_worst_cases_are_the_surest_errors_and_the_longest_missed():
    worst = worst_cases(analysed()[1])
    assert list(worst["kind"]) == [
        "double detection", "localisation", "background", "missed", "missed",
    ]  # fmt: skip
    assert list(worst["video_id"].tail(2)) == ["b", "a"]


def test_a_case_is_linked_to_the_time_that_shows_it(tmp_path):
    videos = pd.DataFrame({"video_id": ["a"], "path": [str(tmp_path / "a b#1.mp4")]})
    rows = describe_cases(worst_cases(analysed()[1]), videos)
    assert rows[0]["link"] == f"{tmp_path.as_uri()}/a%20b%231.mp4#t=0.00,10.00"
    assert rows[1]["said"] == "jump 40.0–50.0 s; in truth jump 40.0–42.0 s"
    assert rows[3] == {
        "kind": "missed", "said": "missed: jump 0.0–20.0 s", "video": "b",
        "score": None, "link": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "counts", "said"),
    [
        ("falling", (22, 1, 9),
         "Of 22 detections of ‘falling’ one was right; of 9 such actions one was found"),
        (None, (1, 0, 1), "Of 1 detection none was right; of 1 action none was found"),
        (None, (5, 3, 4), "Of 5 detections 3 were right; of 4 actions 3 were found"),
        ("run", (0, 0, 12), "Nothing is shown of ‘run’: of 12 actions none was found"),
        ("run", (2, 0, 0), "Of 2 detections of ‘run’ none was right; it does not happen there"),
    ],
)  # fmt: skip
def test_verdicts_are_plain_sentences(label, counts, said):
    row = dict(zip(("shown", "right", "actions"), counts, strict=True))
    assert verdict({"label": label} | row) == said


def test_an_interval_without_width_is_not_shown():
    """As older checkpoints state it where all of a few examples were right."""
    assert rate_words(1.0, 1.0, 1.0) == "100 %"
    assert rate_words(1.0, 0.44, 1.0) == "100 % [44, 100]"


def test_only_classes_of_no_use_are_warned_of():
    rows = [(None, 30, 20, 30), ("good", 10, 9, 10), ("half", 10, 5, 10), ("wrong", 9, 1, 1)]
    rows += [("unseen", 0, 0, 9), ("rarely", 2, 2, 9)]
    table = pd.DataFrame(rows, columns=["label", "shown", "right", "actions"])
    said = warnings(table)
    assert [sentence.split("‘")[1].split("’")[0] for sentence in said] == [
        "unseen", "wrong", "rarely",
    ]  # fmt: skip


def page(facts, results, costs, scores, found):
    return render_report(results, costs, scores, facts, Figures(), found).replace("&nbsp;", " ")


def test_the_headline_has_precision_and_recall(facts, results, costs, scores):
    truth = TRUTH.iloc[:3]
    source = page(facts, results, costs, scores, findings(FOUND.iloc[:3], truth))
    title = source[source.index("<title>") : source.index("</title>")]
    assert "against the uncompressed model; precision 67 %" in title
    assert "recall 67 %" in title


def test_a_model_of_no_use_is_not_celebrated(facts, results, costs, scores, hostile):
    truth, found = TRUTH.replace("jump", hostile), FOUND.replace("jump", hostile)
    source = page(facts, results, costs, scores, findings(found, truth))
    title = source[source.index("<title>") : source.index("</title>")]
    assert "Not usable as it is. Of 5 detections 2 were right; of 4 actions 2 were found" in title
    assert "latency" not in title
    assert "<img" not in source[: source.index("* plotly.js v")]
    assert "localisation</th>" in source
    assert 'href="file:///a#t=39.00,51.00"' in source


def test_bouts_and_agreement_are_told(facts, results, costs, scores):
    source = page(facts, results, costs, scores, findings())
    assert "the frame F1 is 55.3 %" in source  # 21 s agree, of 34 shown and 42 annotated
    assert "62.5 %" in source


def test_operating_points_are_said_beside_what_they_promised(results, costs, scores, facts):
    html = render_report(results, costs, scores, facts, Figures(), findings())
    table = html[html.index("Operating points by purpose") :]
    row = table[table.index("the best F1") :]
    assert row.index("90 % [80, 95]") < row.index("50 % [40, 60]") < row.index("not known")
    assert "a precision of at least 90 %" in row
    assert [row["ratio"] for row in point_rows(POINTS)] == ["1.25", "0.90"]
    none = dataclasses.replace(findings(), points=POINTS.head(0))
    html = render_report(results, costs, scores, facts, Figures(), none)
    assert "Operating points by purpose" not in html


@pytest.fixture
def made(facts):
    """A checkpoint with decisions."""
    evidence = gather_evidence(FOUND, TRUTH, list(VIDEOS["video_id"]), ["run", "jump"], 0.5)
    detector, window = facts.parameters.detector, facts.parameters.data.window
    return Checkpoint(
        {}, detector, (0,), ("run", "jump"), window, 1, None, PostprocessConfig(),
        decisions=decide(evidence, "train", 20, 0),
    )  # fmt: skip


@pytest.mark.parametrize("classifier", [None, "scores.json"])
def test_an_external_classifier_leaves_no_operating_point(made, classifier):
    truth = TRUTH.assign(category=TRUTH["label"])
    evaluator = Evaluator(
        ActionDataset(VIDEOS.assign(split="test"), truth, made.classes),
        DataConfig(every=1),
        EvaluationConfig(bootstrap=20, postprocess={"classifier": classifier}),
        Runtime(RuntimeConfig(device="cpu")),
    )
    table = rate_points(FOUND.assign(model="uncompressed"), evaluator, made)
    assert len(table) == (0 if classifier else len(REPORTED))


def test_points_are_rated_with_the_thresholds_of_the_checkpoint(made):
    ids = list(VIDEOS["video_id"])
    table = point_table(made, FOUND, TRUTH, ids, 20, 0)
    assert [tuple(row) for row in table[["purpose", "asked"]].fillna(0).to_numpy()] == [
        (purpose, asked or 0) for purpose, asked in REPORTED
    ]
    kept = FOUND[FOUND["score"] >= min(thresholds(made).values())]
    row = rates(kept, TRUTH, ids, 0.5, 20, 0).iloc[0]
    assert table.loc[0, ["precision", "recall", "ratio"]].tolist() == [
        row["precision"], row["recall"], row["ratio"],
    ]  # fmt: skip
    old = dataclasses.replace(made, decisions=None)
    assert point_table(old, FOUND, TRUTH, ids, 20, 0).empty
