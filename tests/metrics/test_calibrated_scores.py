"""Calibration against closed forms and brute force; the order of detections stays."""

from itertools import pairwise

import numpy as np
import pytest
from evaluation_tables import random_tables
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tad_blockdrop.detector.decisions import Calibration
from tad_blockdrop.metrics import calibration
from tad_blockdrop.metrics.average_precision import average_precision
from tad_blockdrop.metrics.calibration import (
    FEW,
    MANY,
    VISIBLE,
    calibration_error,
    fit_calibration,
    fit_logistic,
    isotonic,
    probabilities,
    reliability,
    reliability_table,
    with_probability,
)
from tad_blockdrop.metrics.evidence import Evidence


def evidence_of(score, right):
    order = np.argsort(-score, kind="stable")
    place = np.zeros(len(score), np.int64)
    actions = np.array([[right.sum()]])
    return Evidence(("run",), place, place, score[order], right[order], actions)


def drawn(n, chance, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.uniform(0, 1, n)
    return evidence_of(score, rng.uniform(size=n) < chance(score))


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4).map(float)), min_size=1, max_size=12)
)
def test_isotonic_is_the_minimax_of_means(pairs):
    """A closed form: the largest, over beginnings, of the least mean that follows them."""
    values, weights = (np.array(part, float) for part in zip(*pairs, strict=True))
    n = len(values)

    def mean(first, last):
        own = slice(first, last + 1)
        return np.average(values[own], weights=weights[own])

    expected = [max(min(mean(a, b) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]
    assert isotonic(values, weights) == pytest.approx(expected)


def test_the_logistic_curve_is_the_likeliest():
    rng = np.random.default_rng(1)
    x = rng.normal(3, 2, 300)
    right = rng.uniform(size=300) < 1 / (1 + np.exp(-(0.8 * x - 2)))
    found = np.array(fit_logistic(x, right))
    n = right.sum()
    target = np.where(right, (n + 1) / (n + 2), 1 / (len(x) - n + 2))

    def likelihood(pair):
        z = pair[0] * x + pair[1]
        return (target * z - np.logaddexp(0, z)).sum()

    for change in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
        assert likelihood(found) > likelihood(found + change)


@pytest.mark.parametrize("spread", [1e-4, 1e-2, 10])
def test_the_curve_does_not_depend_on_how_close_scores_lie(spread):
    rng = np.random.default_rng(2)
    x = rng.normal(size=150)
    right = rng.uniform(size=150) < 1 / (1 + np.exp(-3 * x))
    slope, offset = fit_logistic(x, right)
    other_slope, other_offset = fit_logistic(spread * x - 0.8, right)
    assert other_slope * spread == pytest.approx(slope, rel=1e-6)
    assert other_offset - 0.8 * other_slope == pytest.approx(offset, abs=1e-6)
    assert fit_logistic(np.full(150, 0.3), right)[0] == pytest.approx(0, abs=1e-6)


def test_a_curve_that_would_fall_is_flat():
    x = np.linspace(-1, 1, 40)
    slope, offset = fit_logistic(x, x < 0)
    assert slope == 0
    assert offset == pytest.approx(0, abs=0.1)


def test_separable_data_has_a_curve_too():
    x = np.linspace(-1, 1, 40)
    slope, _ = fit_logistic(x, x > 0)
    assert 0 < slope < np.inf


@pytest.mark.parametrize(("n", "method"), [(20 * MANY, "isotonic"), (MANY, "logistic")])
def test_probabilities_come_true_in_other_videos(n, method):
    def chance(score):
        return 0.05 + 0.5 * score**2

    found = fit_calibration(drawn(n, chance))
    assert found.method == method
    other = drawn(5000, chance, seed=1)
    visible = other.score >= VISIBLE
    stated = probabilities(found, other.score[visible])
    limit = {"isotonic": 0.02, "logistic": 0.06}[method]
    assert abs(stated - chance(other.score[visible])).mean() < limit
    table = reliability_table(other, found)
    errors = {of: calibration_error(rows) for of, rows in table.groupby("of")}
    assert errors["probability"] < 0.25 * errors["score"]


def test_few_examples_give_no_calibration():
    score = np.linspace(0.1, 0.9, 40)
    assert fit_calibration(evidence_of(score, score >= score[1 - FEW])) is None
    assert fit_calibration(evidence_of(score, np.ones(40, bool))) is None
    none = evidence_of(np.empty(0), np.empty(0, bool))
    assert fit_calibration(none) is None
    assert np.isnan(calibration_error(reliability_table(none, None)))


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 1), many=st.sampled_from([10, 10**6]))
def test_a_higher_score_is_never_less_probable(seed, scale, many):
    rng = np.random.default_rng(seed)
    score = np.clip(rng.exponential(scale, 400), 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "MANY", many)
        found = fit_calibration(evidence_of(score, rng.uniform(size=400) < 0.3))
    if found is None:
        return
    stated = probabilities(found, np.linspace(0, 1, 501))
    assert (np.diff(stated) >= 0).all()
    assert stated[0] == 0
    assert stated[-1] < 1
    assert all(a < b for a, b in pairwise(found.scores))


def test_average_precision_stays():
    found, truth, videos = random_tables(3, 30, 200)
    logistic = Calibration(method="logistic", scores=[0.1, 0.5, 1], probabilities=[0, 0.2, 0.9])
    table = with_probability(found, logistic)
    assert table["score"].equals(found["score"])
    pairs = zip(found["score"], table["probability"], strict=True)
    assert all(p == np.interp(s, [0, 0.1, 0.5, 1], [0, 0, 0.2, 0.9]) for s, p in pairs)
    visible = found["score"] > 0.1  # where this map is flat, the order would be lost
    before, after = (
        average_precision(each, truth, videos, [0.5])["ap"].tolist()
        for each in (
            found[visible],
            table[visible].drop(columns="score").rename(columns={"probability": "score"}),
        )
    )
    assert before == after
    assert with_probability(found, None) is found


def test_reliability_counts_every_detection_once():
    stated = np.array([0.9, 0.1, 0.2, 0.8] * 5)
    right = stated > 0.5
    table = reliability(stated, right)
    assert table["count"].sum() == 20
    assert table["stated"].is_monotonic_increasing
    assert calibration_error(table) == pytest.approx((0.1 + 0.2 + 0.2 + 0.1) / 4)


@pytest.mark.parametrize(
    ("scores", "probabilities_"),
    [([0.1], [0.1, 0.2]), ([0.2, 0.1], [0.1, 0.2]), ([0.1, 0.2], [0.2, 0.1]), ([], []), ([1], [2])],
)
def test_maps_that_are_none_are_refused(scores, probabilities_):
    with pytest.raises(ValidationError):
        Calibration(method="isotonic", scores=scores, probabilities=probabilities_)
