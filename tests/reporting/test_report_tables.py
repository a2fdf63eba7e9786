"""Tests of tad_blockdrop.reporting.result_table."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from tad_blockdrop.compression.criteria import find_criterion
from tad_blockdrop.datasets.tables import ResultTable
from tad_blockdrop.reporting.numbers import number, short, signed
from tad_blockdrop.reporting.pages.report import Figures, render_report
from tad_blockdrop.reporting.plots.importance import block_importance
from tad_blockdrop.reporting.result_table import (
    build_result_table,
    changed_videos,
    class_changes,
    format_repairs,
    format_table,
    on_front,
    race_table,
    strongest_detections,
    with_costs,
)


def detections(*rows):
    return pd.DataFrame(rows, columns=["video_id", "start", "end", "label", "score"])


@pytest.fixture
def videos():
    return pd.DataFrame({"video_id": ["a", "b", "c"], "duration": [10.0, 10.0, 100.0]})


def test_rows_come_in_the_order_of_families_and_steps(results):
    assert list(results["model"]) == [
        "uncompressed",
        "step_01",
        "step_02",
        "control_01",
        "one_shot_01",
        "one_shot_02",
    ]


def test_accuracies_and_differences(results):
    step = results.set_index("model").loc["step_01"]
    assert (step["map@0.30"], step["map@0.70"], step["average"]) == (79.0, 59.0, 69.0)
    assert (step["delta"], step["delta_low"], step["delta_high"]) == (-1.0, -2.0, 0.5)
    assert (step["delta_control"], step["delta_control_low"]) == (-2.0, -3.5)
    assert (step["kept_blocks"], step["n_blocks"], step["dropped_block"]) == ("0 1 3", 3, 2)


def test_only_a_step_with_a_control_of_its_own_is_compared_with_one(results):
    compared = results.dropna(subset=["delta_control"])
    assert list(compared["model"]) == ["step_01"]


def test_nothing_dropped_is_a_missing_whole_number(results):
    assert str(results["dropped_block"].dtype) == "Int64"
    assert results.set_index("model")["dropped_block"].isna()["control_01"]


def test_sub_layers_have_names(models, intervals, costs, facts, tmp_path):
    """In the table, as it is saved and loaded, in the race, on the page and in the figures."""
    models.loc[models["model"] == "step_01", ["kept_blocks", "dropped_block"]] = ["0 1 2.mlp 3", 2]
    units = {"step_01": "2.attention", "step_02": "2.mlp"}
    models["dropped_block"] = models["model"].map(units)
    table = build_result_table(models, intervals)
    step = table.set_index("model").loc["step_01"]
    assert (step["kept_blocks"], step["n_blocks"], step["dropped_block"]) == (
        "0 1 2.mlp 3", 4, "2.attention",
    )  # fmt: skip
    saved = ResultTable(filepath=str(tmp_path / "table.csv"), save_args={"index": False})
    saved.save(table)
    pd.testing.assert_series_equal(saved.load()["dropped_block"], table["dropped_block"])
    scores = pd.DataFrame(
        {
            "step": [1, 1, 1],
            "block": ["10.mlp", "2.attention", "2.mlp"],
            "criterion": "train_map",
            "value": [1.0, 3.0, 2.0],
            "alone": [1.0, 3.0, 2.0],
            "rank": [3, 1, 2],
        }
    )
    race = race_table(scores).iloc[0]
    assert (race["block"], race["runner_up"]) == ("2.attention", "2.mlp")
    importance = block_importance(scores, find_criterion("train_map"))
    assert list(importance.data[0].y) == ["2.attention", "2.mlp", "10.mlp"]
    assert (importance.layout.shapes[0].y0, importance.layout.shapes[0].y1) == (-0.5, 0.5)
    page = render_report(table, costs, scores, facts, Figures(importance=importance))
    assert '<i class="kept"></i><i class="kept"></i><i class="half"></i>' in page
    assert "2.attention</td>" in page
    short = replace(facts, final_model="step_01")
    page = render_report(table, costs, scores, short, Figures()).replace("&nbsp;", " ")
    assert "4 → 4 blocks (1 without attention), latency −20 %" in page
    assert "<dt>attentions and MLPs</dt><dd><b>7</b><span>from 8</span></dd>" in page


def test_the_front_is_what_nothing_beats(results, costs):
    """Controls and one-shot models have no place on it, nor have equals and skipped steps."""
    table = with_costs(results, costs).set_index("model", drop=False)
    assert list(on_front(table, "latency_ms")["model"]) == ["step_02", "step_01", "uncompressed"]
    table.loc["step_01", "average"] = 66.0
    assert list(on_front(table, "latency_ms")["model"]) == ["step_02", "uncompressed"]
    table.loc["uncompressed", "latency_ms"] = 11.0
    assert list(on_front(table, "latency_ms")["model"]) == ["uncompressed"]
    table.loc["uncompressed", "latency_ms"] = 20.0
    assert list(on_front(table.assign(skipped=table["model"] == "step_02"), "gmacs")["model"]) == [
        "step_01", "uncompressed",
    ]  # fmt: skip


def test_console_table_is_aligned_and_tells_all(results, costs):
    lines = format_table(results, costs).splitlines()
    assert len(lines) == len(results) + 2
    assert len({len(line) for line in lines[:-1]}) == 1
    step = next(line for line in lines if "step_01" in line)
    for part in ("69.0", "−1.0 [−2.0, +0.5]", "−2.0 [−3.5, −0.5]", "0.15", "16.0", "0.80"):
        assert part in step
    assert "5 of 5 videos" in lines[-1]


def test_console_table_without_control_or_costs(models, intervals):
    text = format_table(build_result_table(models[models["family"] != "control"], intervals))
    assert "Δ control" not in text
    assert "latency" not in text


def test_console_table_marks_skipped_steps(models, intervals):
    models.loc[models["model"] == "step_02", ["skipped", "dropped_block"]] = [True, None]
    text = format_table(build_result_table(models, intervals))
    assert "skipped" in next(line for line in text.splitlines() if "step_02" in line)


def test_console_table_shows_three_of_many_thresholds(models, intervals):
    many = {f"map@{0.5 + 0.05 * i:.2f}": 40.0 - i for i in range(10)}
    models = models.drop(columns=["map@0.30", "map@0.70"]).assign(**many)
    text = format_table(build_result_table(models, intervals))
    shown = [word for word in text.splitlines()[0].split() if word.startswith("mAP@")]
    assert shown == ["mAP@0.50", "mAP@0.75", "mAP@0.95"]


def test_repairs_are_a_row_a_step(repairs):
    lines = format_repairs(repairs).splitlines()[1:]
    assert lines[0].split() == ["step", "layers", "refitted", "error", "before,", "%", "error",
                                "after,", "%"]  # fmt: skip
    assert [line.split() for line in lines[1:]] == [
        ["1", "2", "1", "7.8", "2.8"],
        ["2", "1", "1", "25.0", "5.0"],
    ]


def test_races(scores):
    first, second = race_table(scores).to_dict("records")
    assert (first["block"], first["value"], first["runner_up"]) == (2, 63.0, 3)
    assert (first["runner_up_value"], first["margin"], first["candidates"]) == (62.25, 0.75, 4)
    assert (second["block"], second["runner_up"], second["candidates"]) == (3, 1, 3)


def test_a_race_of_one_has_no_runner_up(scores):
    race = race_table(scores[scores["rank"] == 1].head(1)).iloc[0]
    assert pd.isna(race["runner_up"])
    assert math.isnan(race["runner_up_value"])


def test_a_block_without_a_score_never_wins_or_comes_second(scores):
    broken = scores.astype({"rank": float})
    broken.loc[broken["block"] == 3, ["value", "rank"]] = float("nan")
    first, second = race_table(broken).to_dict("records")
    assert (first["block"], first["runner_up"], first["candidates"]) == (2, 1, 4)
    assert (second["block"], second["runner_up"]) == (1, 0)


def test_margins_count_up_where_low_values_win(scores):
    losses = scores.assign(value=-scores["value"])
    assert list(race_table(losses)["margin"]) == [0.75, 3.0]


def test_the_margin_between_two_of_a_pair_is_what_they_are_worth_alone(scores):
    ahead = scores.assign(value=scores["value"].mask(scores["rank"] <= 2, 64.0))
    assert list(race_table(ahead)["margin"]) == [0.75, 3.0]


def test_no_races_where_nothing_was_scored(scores):
    assert race_table(scores.head(0)).empty


def test_class_changes_are_averages_over_thresholds(classes):
    changes = class_changes(classes, "uncompressed", "step_02").set_index("label")
    assert changes.index[0] == "jump"
    assert tuple(changes.loc["jump"]) == (70.0, 60.0, -10.0)
    assert sorted(changes["change"]) == [-10.0, 2.0]


def test_class_changes_of_an_unknown_model(classes):
    with pytest.raises(ValueError, match="step_09"):
        class_changes(classes, "uncompressed", "step_09")


def test_as_many_strongest_detections_as_true_actions():
    found = detections(("a", 0, 1, "x", 0.1), ("b", 0, 1, "x", 0.9), ("a", 2, 3, "y", 0.5))
    true = found.iloc[:2].drop(columns="score")
    assert list(strongest_detections(found, true)["score"]) == [0.9, 0.5]


def test_videos_are_chosen_by_the_share_of_time_labelled_differently(videos):
    before = detections(("a", 0, 5, "x", 0.9), ("b", 0, 5, "x", 0.9), ("c", 0, 50, "x", 0.9))
    after = detections(
        ("a", 1, 5, "x", 0.2),  # a tenth of the video
        ("b", 0, 5, "y", 0.9),  # the other label: twice a half
        ("c", 0, 45, "x", 0.9),  # more seconds than in a, but a twentieth of the video
    )
    assert changed_videos(before, after, videos, 3) == ["b", "a", "c"]
    assert changed_videos(after, before, videos, 2) == ["b", "a"]


def test_overlapping_detections_of_a_label_count_once(videos):
    once = detections(("a", 0, 5, "x", 0.9))
    twice = detections(("a", 0, 5, "x", 0.9), ("a", 1, 4, "x", 0.8), ("c", 0, 1, "x", 0.8))
    assert changed_videos(once, twice, videos, 1) == ["c"]


def test_videos_that_did_not_change_go_by_id_and_may_lack_detections(videos):
    assert changed_videos(detections(), detections(), videos, 2) == ["a", "b"]


def test_numbers_for_people():
    assert (number(1.25, 1), number(-0.5), number(float("nan")), number(None)) == (
        "1.2",
        "−0.5",
        "–",
        "–",
    )
    assert (signed(0.31), signed(-0.31), signed(-0.04), signed(float("nan"))) == (
        "+0.3",
        "−0.3",
        "0.0",
        "–",
    )
    assert (short(63.0), short(0.001174)) == ("63.00", "0.00117")
