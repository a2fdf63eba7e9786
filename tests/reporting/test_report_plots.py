"""Tests of tad_blockdrop.reporting.plots."""

import json

import pandas as pd
import pytest

from tad_blockdrop.compression.criteria import find_criterion
from tad_blockdrop.reporting.plots.accuracy import accuracy_against_cost
from tad_blockdrop.reporting.plots.classes import class_change
from tad_blockdrop.reporting.plots.importance import block_importance
from tad_blockdrop.reporting.plots.reliability import reliability_curve
from tad_blockdrop.reporting.plots.repairs import repair_errors
from tad_blockdrop.reporting.plots.training import training_curves
from tad_blockdrop.reporting.result_table import class_changes

WORDS = find_criterion("train_map")


def valid(figure):
    """The figure as any JSON reader gets it: NaN and Infinity are no JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} in a figure")

    return json.loads(figure.to_json(), parse_constant=refuse)


def traces(figure):
    return {trace["name"].split(":")[0]: trace for trace in valid(figure)["data"]}


def test_scores_and_probabilities_are_drawn_against_what_came_true():
    rows = [(2, 0.9, 0.5, "score"), (2, 0.3, 0.0, "score"), (4, 0.25, 0.25, "probability")]
    table = pd.DataFrame(rows, columns=["count", "stated", "right", "of"])
    drawn = valid(reliability_curve(table))["data"]
    assert [trace.get("name") for trace in drawn] == [
        None, "score: off by 35.0 points", "calibrated: off by 0.0 points",
    ]  # fmt: skip
    assert (drawn[1]["x"], drawn[1]["y"]) == ([90, 30], [50, 0])
    assert len(valid(reliability_curve(table.head(2)))["data"]) == 2


def test_each_family_is_a_line_over_cost(results, costs):
    lines = traces(accuracy_against_cost(results, costs, "gmacs"))
    families = {"uncompressed", "control", "one shot", "progressive block drop"}
    assert set(lines) == families | {"front"}
    progressive = lines["progressive block drop"]
    assert progressive["x"] == pytest.approx([0.4, 0.6])
    assert progressive["y"] == [66.0, 69.0]
    assert progressive["error_y"]["array"] == [1.5, 1.5]
    assert progressive["error_y"]["arrayminus"] == [2.0, 1.0]
    assert lines["uncompressed"]["y"] == [70.0, 70.0]


def test_rings_mark_what_nothing_beats(results, costs):
    """Each model as long as it pays; one that is cheaper and better beats them all."""
    front = traces(accuracy_against_cost(results, costs, "latency_ms"))["front"]
    assert (front["x"], front["y"]) == ([11.0, 16.0, 20.0], [66.0, 69.0, 70.0])
    better = results.assign(average=results["average"].mask(results["model"] == "step_02", 71.0))
    front = traces(accuracy_against_cost(better, costs, "latency_ms"))["front"]
    assert (front["x"], front["y"]) == ([11.0], [71.0])


@pytest.mark.parametrize(("cost", "at"), [("gmacs", 0.6), ("latency_ms", 16.0)])
def test_a_control_stands_at_its_steps_cost(results, costs, cost, at):
    assert traces(accuracy_against_cost(results, costs, cost))["control"]["x"] == [
        pytest.approx(at)
    ]


def test_a_missing_latency_is_that_of_as_many_blocks(results, costs):
    lines = traces(accuracy_against_cost(results, costs, "latency_ms"))
    assert lines["one shot"]["x"] == [11.0, 16.0]


def test_models_without_any_latency_are_left_out(results, costs):
    lines = traces(accuracy_against_cost(results, costs.head(2), "latency_ms"))
    assert lines["progressive block drop"]["x"] == [16.0]


def test_a_skipped_step_is_no_point(results, costs):
    skipped = results.assign(skipped=results["model"] == "step_02")
    lines = traces(accuracy_against_cost(skipped, costs, "gmacs"))
    assert lines["progressive block drop"]["y"] == [69.0]


def test_the_uncompressed_model_alone(results, costs):
    alone = results[results["family"] == "uncompressed"]
    lines = traces(accuracy_against_cost(alone, costs, "gmacs"))
    assert set(lines) == {"uncompressed"}


def test_no_interval_no_bar(results, costs):
    bare = results.assign(delta_low=float("nan"), delta_high=float("nan"))
    lines = traces(accuracy_against_cost(bare, costs, "gmacs"))
    assert lines["progressive block drop"]["error_y"]["array"] == [None, None]


def test_dropped_blocks_are_blank_in_later_steps(scores):
    figure = valid(block_importance(scores, WORDS))
    heat = figure["data"][0]
    assert heat["z"] == [[30.0, 28.0], [61.5, 55.0], [63.0, None], [62.25, 58.0]]
    assert heat["text"][2] == ["<b>63.0 ✕</b>", ""]
    frames = {(s["x0"] + 0.5, s["y0"] + 0.5) for s in figure["layout"]["shapes"]}
    assert frames == {(0, 2), (1, 3)}


@pytest.mark.parametrize(
    ("criterion", "turned"), [("train_map", False), ("train_loss", True), ("block_mse", True)]
)
def test_bright_always_means_easy_to_spare(scores, criterion, turned):
    heat = block_importance(scores, find_criterion(criterion)).data[0]
    assert heat.reversescale is turned


def test_importance_of_nothing(scores):
    assert valid(block_importance(scores.head(0), WORDS))["data"][0]["z"] == []


def test_every_layer_of_every_repair_is_a_cell(repairs):
    figure = valid(repair_errors(repairs))
    heat = figure["data"][0]
    assert figure["layout"]["yaxis"]["ticktext"] == ["0 MLP", "3 attention"]
    assert heat["text"] == [["12.5 → 2.5", "25.0 → 5.0"], ["3.0", ""]]
    assert heat["z"] == [[2.5, 5.0], [3.0, None]]


def test_channels_taken_from_dropped_blocks_are_told(repairs):
    taken = repairs.assign(taken=pd.array([7, 0, pd.NA], dtype="Int64"))
    assert valid(repair_errors(taken))["data"][0]["text"][0] == ["12.5 → 2.5 (7)", "25.0 → 5.0"]


def test_layers_of_neck_and_head_follow_those_of_blocks(repairs):
    rows = repairs.assign(layer=None).astype({"block": "Int64", "branch": "Int64"})
    more = pd.DataFrame(
        {"layer": ["head.classify"], "step": [1], "before": [0.5], "after": [0.4], "ridge": [0.1]}
    )
    figure = valid(repair_errors(pd.concat([rows.iloc[:2], more, rows.iloc[2:]])))
    assert figure["layout"]["yaxis"]["ticktext"] == ["0 MLP", "3 attention", "head.classify"]
    assert figure["data"][0]["text"][2] == ["50.0 → 40.0", ""]


def test_repairs_of_nothing(repairs):
    assert valid(repair_errors(repairs.head(0)))["data"][0]["z"] == []


def titles(figure):
    return [note["text"] for note in valid(figure)["layout"]["annotations"]]


def test_steps_follow_each_other_and_restarts_show(history):
    data = valid(training_curves(history))["data"]
    steps = [t for t in data if t["name"] == "total" and t["xaxis"] == "x2"]
    solid = [t for t in steps if t["line"]["dash"] == "solid"]
    assert [(t["x"], t["y"]) for t in solid] == [([1.0, 2.0], [1.5, 1.2]), ([3.0], [1.6])]
    assert [t["y"] for t in steps if t["line"]["dash"] == "dash"] == [[0.9]]


def test_each_loss_term_has_one_entry_in_the_legend(history):
    data = valid(training_curves(history))["data"]
    assert sorted(t["name"] for t in data if t["showlegend"]) == ["cls", "dense", "kd_cls", "total"]


def test_terms_that_a_stage_lacks_are_not_drawn_there(history):
    data = valid(training_curves(history))["data"]
    assert {t["xaxis"] for t in data if t["name"] == "dense"} == {"x"}
    assert {t["xaxis"] for t in data if t["name"] == "kd_cls"} == {"x2"}


def test_panels_of_what_there_is(history):
    assert len(titles(training_curves(history))) == 4
    without = history.assign(validation=float("nan"))
    assert len(titles(training_curves(without))) == 2
    given = history[history["stage"] != "baseline"]
    assert all("lignment" in title for title in titles(training_curves(given)))


def test_curves_of_nothing_and_without_validation(history):
    assert valid(training_curves(history.head(0)))["data"] == []
    empty = pd.DataFrame({"stage": [], "step": [], "epoch": []})
    assert valid(training_curves(empty))["data"] == []
    assert len(titles(training_curves(history.drop(columns="validation")))) == 2


def test_class_change_shows_both_ends(classes):
    figure = valid(class_change(class_changes(classes, "uncompressed", "step_02")))
    lines = {t["name"]: t for t in figure["data"] if "name" in t}
    assert lines["uncompressed"]["x"] == [70.0, 40.0]
    assert lines["compressed: lost"]["x"] == [60.0]
    assert lines["compressed: gained"]["x"] == [42.0]


def test_class_names_are_text_not_tags(classes, hostile):
    text = json.dumps(valid(class_change(class_changes(classes, "uncompressed", "step_02"))))
    assert "<img" not in text
    assert "&lt;img" in text
    assert hostile not in text


def test_of_many_classes_those_that_changed_most():
    changes = pd.DataFrame({"label": [f"c{i:03d}" for i in range(200)], "before": 50.0})
    changes["change"] = [float(i - 100) for i in range(200)]
    changes["after"] = changes["before"] + changes["change"]
    labels = class_change(changes).layout.yaxis.ticktext
    assert len(labels) == 30
    assert {"c000", "c199"} <= set(labels)
    assert "c100" not in labels
