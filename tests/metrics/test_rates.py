"""Precision and recall at thresholds against counting, and their intervals against redrawing."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import detections, hits_by_definition, instances, random_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE, shown
from tad_blockdrop.metrics.rates import rates

COUNTS = ["shown", "right", "actions"]


def counts_by_definition(found, truth, listed):
    """(shown, right, actions) by video and label, counted one by one."""
    result = {}
    for video in listed:
        for label in {*found.label, *truth.label}:
            mine = found[(found.video_id == video) & (found.label == label)]
            mine = mine.sort_values("score", ascending=False, kind="stable")
            own = truth[(truth.video_id == video) & (truth.label == label)]
            result[video, label] = len(mine), sum(hits_by_definition(mine, own, 0.5)), len(own)
    return result


def wilson_by_definition(share, n):
    """The shares whose score test does not reject the observed one at 5 %: by bisection."""

    def edge(inside, outside):
        for _ in range(60):
            tried = (inside + outside) / 2
            kept = (share - tried) ** 2 <= NormalDist().inv_cdf(0.975) ** 2 * tried * (
                1 - tried
            ) / n
            inside, outside = (tried, outside) if kept else (inside, tried)
        return inside

    middle = min(max(share, 1e-9), 1 - 1e-9)
    return [edge(middle, 0.0), edge(middle, 1.0)]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), n_found=st.integers(0, 30), videos=st.integers(1, 4))
def test_rates_are_what_counting_gives(seed, n_found, videos):
    found, truth, listed = random_tables(seed, 10, n_found, videos)
    truth = truth.drop_duplicates(ignore_index=True)
    table = rates(found, truth, listed, 0.5, resamples=60, seed=3)
    counts = counts_by_definition(found, truth, listed)
    rng = np.random.default_rng(3)
    draws = rng.multinomial(len(listed), [1 / len(listed)] * len(listed), size=60)
    assert table.label.isna().tolist() == [True] + [False] * (len(table) - 1)
    for row in table.to_dict("records"):
        own = np.zeros((len(listed), 3), int)
        for (video, label), three in counts.items():
            if pd.isna(row["label"]) or label == row["label"]:
                own[listed.index(video)] += three
        assert [row[name] for name in COUNTS] == own.sum(axis=0).tolist()
        for name, part, of in (("precision", 1, 0), ("recall", 1, 2), ("ratio", 0, 2)):
            samples = []
            for draw in draws:
                drawn = sum(times * own[video] for video, times in enumerate(draw))
                if drawn[of]:
                    samples.append(drawn[part] / drawn[of])
            if not own[:, of].sum():
                assert np.isnan([row[name], row[f"{name}_low"], row[f"{name}_high"]]).all()
                continue
            assert row[name] == own[:, part].sum() / own[:, of].sum()
            expected = np.percentile(samples, [2.5, 97.5])
            if name != "ratio" and len(set(samples)) == 1:  # the draws say nothing
                expected = wilson_by_definition(samples[0], own[:, of].sum())
            assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(expected)


def test_the_same_seed_gives_the_same_interval():
    found, truth, listed = random_tables(1, 12, 30)
    first, again, other = (
        rates(found, truth.drop_duplicates(), listed, 0.5, 50, seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_without_draws_there_are_no_bounds():
    truth = instances(("a", 0, 10, "run"))
    row = rates(detections(("a", 0, 10, "run", 0.9)), truth, ["a"], 0.5, 0).iloc[0]
    assert (row.precision, row.recall) == (1, 1)
    assert row[["precision_low", "recall_high"]].isna().all()


def test_a_few_right_ones_are_no_certainty():
    """All draws of videos say 100 %, three examples do not."""
    truth = instances(*((video, 0, 10, "run") for video in "abc"), ("d", 0, 10, "jump"))
    found = detections(*((video, 0, 10, "run", 0.9) for video in "abc"))
    table = rates(found, truth, list("abcd"), 0.5, 200).set_index("label")
    run, jump = table.loc["run"], table.loc["jump"]
    assert (run.precision, run.recall, jump.recall) == (1, 1, 0)
    assert [run.recall_low, run.recall_high] == pytest.approx([0.4385, 1], abs=1e-4)
    assert [jump.recall_low, jump.recall_high] == pytest.approx([0, 0.7935], abs=1e-4)
    assert np.isnan(jump.precision_low)


def test_one_video_is_no_certainty_either():
    """All draws are of that video, of which a half is right: Wilson's interval of 2 of 4."""
    truth = instances(*(("a", at, at + 5, "run") for at in (0, 10, 20, 30)))
    found = detections(("a", 0, 5, "run", 0.9), ("a", 10, 15, "run", 0.9))
    row = rates(found, truth, ["a", "b"], 0.5, 50).iloc[0]
    assert [row.recall_low, row.recall_high] == pytest.approx([0.15, 0.85], abs=1e-3)


def test_only_what_reaches_its_threshold_is_shown():
    found = detections(
        ("a", 0, 1, "run", 0.5), ("a", 1, 2, "run", 0.49),
        ("a", 2, 3, "jump", DEFAULT_SCORE), ("a", 3, 4, "swim", 0.19),
    )  # fmt: skip
    limits = {"run": 0.5, "jump": DEFAULT_SCORE}
    assert list(shown(found, limits).start) == [0, 2]  # swim is in no list
