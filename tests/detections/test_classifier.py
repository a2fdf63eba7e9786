"""Reading the external classifier's scores."""

import json

import numpy as np
import pytest

from tad_blockdrop.detections.classifier import classifier_problems, read_classifier

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
    with pytest.raises(ValueError, match="has the top-level keys"):
        read_classifier(raw, ["a"])


@pytest.mark.parametrize("scores", [[0.5], [0.5, -0.1], [0.5, float("nan")], ["x", "y"], None])
def test_bad_scores_are_refused(scores):
    with pytest.raises(ValueError, match=r"'a'.*list of 2 non-negative numbers"):
        read_classifier({"class": ["run", "jump"], "results": {"a": scores}}, ["a"])


def test_a_file_that_will_not_do_is_told_before_any_work(tmp_path):
    path = tmp_path / "scores.json"
    (gone,) = classifier_problems(path, ["a"], ["run"])
    path.write_text("{")
    (torn,) = classifier_problems(path, ["a"], ["run"])
    for problem in (gone, torn):
        assert problem.fatal
        assert "cannot be read" in problem.message
    assert "or set it to null" in gone.advice
    path.write_text(json.dumps(RAW))
    (missing,) = classifier_problems(path, ["a", "x"], ["run"])
    assert missing.fatal
    assert "no scores for 1 of 2 videos, the first is 'x'" in missing.message
    assert missing.advice == "add them, or leave these videos out of the evaluation"


def test_classes_of_other_names_are_told(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(RAW))
    assert classifier_problems(path, ["a"], ["jump", "run"]) == []
    (some,) = classifier_problems(path, ["a"], ["jump", "Run"])
    assert not some.fatal
    assert (
        "1 of 2 annotated classes are not among the classifier's, the first is 'Run'"
        in some.message
    )
    (none,) = classifier_problems(path, ["a"], ["Jump", "Run"])
    assert none.fatal
