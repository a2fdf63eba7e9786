"""The metric against its definition and against cases whose value is known by hand."""

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import detections, instances, precision_by_definition, random_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.metrics.matching import match


def ap(found, truth, videos=("a", "b"), tious=(0.5,)):
    table = average_precision(found, truth, videos, tious)
    return dict(zip(zip(table.label, table.tiou, strict=True), table.ap, strict=True))


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_truth=st.integers(1, 14),
    n_found=st.integers(0, 45),
    videos=st.integers(1, 4),
    labels=st.integers(1, 3),
)
def test_average_precision_is_what_its_definition_says(seed, n_truth, n_found, videos, labels):
    found, truth, listed = random_tables(seed, n_truth, n_found, videos, labels)
    truth = truth.drop_duplicates(ignore_index=True)
    tious = [0.3, 0.5, 0.75]
    expected = precision_by_definition(found, truth, listed, tious)
    ours = ap(found, truth, listed, tious)
    assert set(ours) == set(expected)
    for key, value in expected.items():
        assert ours[key] == pytest.approx(value, abs=1e-12)


TRUTH = instances(("a", 0, 10, "run"), ("a", 20, 30, "run"), ("b", 0, 10, "jump"))


def test_perfect_detections_have_one():
    found = TRUTH.assign(score=0.5)
    assert ap(found, TRUTH, tious=(0.5, 1.0)) == {
        ("jump", 0.5): 1,
        ("jump", 1.0): 1,
        ("run", 0.5): 1,
        ("run", 1.0): 1,
    }


def test_a_false_positive_above_halves_the_precision():
    found = detections(
        ("a", 50, 60, "run", 0.9), ("a", 0, 10, "run", 0.8), ("a", 20, 30, "run", 0.7)
    )
    # precision 1/2 and 2/3 at the hits, so the envelope is 2/3 all along
    assert ap(found, TRUTH)["run", 0.5] == pytest.approx(2 / 3)


def test_a_class_without_detections_has_zero_and_counts():
    table = average_precision(detections(("b", 0, 10, "jump", 0.1)), TRUTH, ["a", "b"], [0.5, 0.7])
    assert average_map(table) == 0.5


def test_no_detections_at_all_is_zero_not_an_error():
    empty = detections().astype({"start": float, "end": float, "score": float})
    assert average_map(average_precision(empty, TRUTH, ["a", "b"], [0.5])) == 0


def test_the_second_detection_of_an_instance_is_false():
    found = detections(("b", 0, 10, "jump", 0.9), ("b", 0, 10, "jump", 0.8))
    assert ap(found, TRUTH)["jump", 0.5] == 1  # recall is complete before it
    worse = detections(("b", 0, 9, "jump", 0.9), ("b", 0, 10, "jump", 0.8))
    assert ap(worse, TRUTH, tious=(0.95,))["jump", 0.95] == 0.5


def test_a_detection_takes_the_next_best_instance_when_the_best_is_taken():
    truth = instances(("a", 0, 10, "run"), ("a", 2, 12, "run"))
    found = detections(("a", 0, 10, "run", 0.9), ("a", 0.5, 10.5, "run", 0.8))
    assert ap(found, truth)["run", 0.5] == 1


def test_the_threshold_itself_is_enough():
    assert ap(detections(("b", 0, 5, "jump", 0.9)), TRUTH)["jump", 0.5] == 1


def test_unknown_labels_are_ignored():
    found = detections(("b", 0, 10, "swim", 0.9), ("b", 0, 10, "jump", 0.8))
    assert ap(found, TRUTH) == {("run", 0.5): 0, ("jump", 0.5): 1}


@pytest.mark.parametrize("elsewhere", ["a", "c"])
def test_detections_in_videos_without_such_ground_truth_are_false(elsewhere):
    found = detections((elsewhere, 0, 10, "jump", 0.9), ("b", 0, 10, "jump", 0.8))
    truth = pd.concat([TRUTH, instances(("c", 0, 10, "jump"))])
    assert ap(found, truth)["jump", 0.5] == 0.5


def test_instances_of_other_videos_and_their_classes_are_left_out():
    truth = pd.concat([TRUTH, instances(("c", 0, 10, "swim"))])
    assert set(ap(TRUTH.assign(score=1.0), truth, ["b"])) == {("jump", 0.5)}


def test_duplicate_ground_truth_counts_once():
    truth = instances(
        ("a", 0, 10, "run"), ("a", 0.0009, 10, "run"), ("a", 0, 10.002, "run"), ("a", 0, 10, "jump")
    )
    counted = match(detections(("a", 0, 10, "run", 0.5)), truth, ["a"], [0.5])
    assert counted.truth.sum() == 3  # within 1e-3, 2e-3 away, and another class


def test_ground_truth_without_length_is_dropped():
    truth = pd.concat([TRUTH, instances(("b", 5, 5, "jump"))])
    assert ap(detections(("b", 0, 10, "jump", 0.5)), truth)["jump", 0.5] == 1


def test_detections_without_length_are_false():
    found = detections(("b", 5, 5, "jump", 0.9), ("b", 0, 10, "jump", 0.8))
    assert ap(found, TRUTH)["jump", 0.5] == 0.5


def test_ties_keep_the_order_of_the_table():
    right, wrong = ("b", 0, 10, "jump", 0.5), ("b", 50, 60, "jump", 0.5)
    assert ap(detections(right, wrong), TRUTH)["jump", 0.5] == 1
    assert ap(detections(wrong, right), TRUTH)["jump", 0.5] == 0.5


def test_the_order_of_the_instances_and_the_index_of_the_tables_do_not_matter():
    found, truth, videos = random_tables(7, 30, 200)
    expected = average_precision(found, truth, videos, [0.4])
    shuffled = truth.sample(frac=1, random_state=0)
    found.index = found.index[::-1]
    pd.testing.assert_frame_equal(average_precision(found, shuffled, videos, [0.4]), expected)


def test_no_ground_truth_is_an_error_that_tells_what_there_is():
    with pytest.raises(ValueError, match=r"none of the 2 videos.*subset training, validation"):
        average_precision(
            detections(("x", 0, 1, "run", 1.0)),
            TRUTH.assign(subset=["training", "training", "validation"]),
            ["x", "y"],
            [0.5],
        )


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", np.nan, "missing or infinite"),
        ("start", -np.inf, "missing or infinite"),
        ("label", None, "missing or infinite"),
        ("end", -1.0, "end before they start"),
    ],
)
def test_bad_detections_are_named(column, value, message):
    found = TRUTH.assign(score=0.5)
    found[column] = found[column].where(found.index != 1, value)
    with pytest.raises(ValueError, match=f"detections table has 1 rows .*{message}"):
        average_precision(found, TRUTH, ["a"], [0.5])


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"detections table has no column score"):
        average_precision(TRUTH, TRUTH, ["a"], [0.5])
