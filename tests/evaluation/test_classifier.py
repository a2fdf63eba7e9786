"""Reading the external classifier's scores."""

import numpy as np
import pytest

from tad_blockdrop.evaluation.classifier import read_classifier

RAW = {"class": ["run", "jump"], "results": {"a": [0.9, 0.1], "b": [0.2, 0.8], "c": [1, 0]}}


def test_scores_come_in_the_order_of_the_videos():
    named = read_classifier(RAW, ["b", "a"])
    assert named.classes == ("run", "jump")
    np.testing.assert_array_equal(named.scores, [[0.2, 0.8], [0.9, 0.1]])


def test_a_prefix_makes_no_difference():
    raw = {"class": ["run"], "results": {"v_a": [0.1], "b": [0.2], "v_c": [0.3], "c": [0.4]}}
    named = read_classifier(raw, ["a", "v_b", "c", "v_c"])
    np.testing.assert_array_equal(named.scores, [[0.1], [0.2], [0.4], [0.3]])


def test_missing_videos_are_counted_and_the_first_is_named():
    with pytest.raises(ValueError, match=r"no scores for 2 of 3 videos, the first is 'x'"):
        read_classifier(RAW, ["a", "x", "y"])


@pytest.mark.parametrize("raw", [{}, {"results": {}}, {"class": ["run"], "results": []}])
def test_another_layout_is_refused(raw):
    with pytest.raises(ValueError, match="top-level keys are"):
        read_classifier(raw, ["a"])


@pytest.mark.parametrize("scores", [[0.5], [0.5, -0.1], [0.5, float("nan")], ["x", "y"], None])
def test_bad_scores_are_refused(scores):
    with pytest.raises(ValueError, match=r"'a'.*list of 2 non-negative numbers"):
        read_classifier({"class": ["run", "jump"], "results": {"a": scores}}, ["a"])
