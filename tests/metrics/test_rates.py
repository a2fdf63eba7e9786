"""Precision and recall at thresholds against counting, and their intervals against redrawing."""

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


def test_only_what_reaches_its_threshold_is_shown():
    found = detections(
        ("a", 0, 1, "run", 0.5), ("a", 1, 2, "run", 0.49),
        ("a", 2, 3, "jump", DEFAULT_SCORE), ("a", 3, 4, "swim", 0.19),
    )  # fmt: skip
    limits = {"run": 0.5, "jump": DEFAULT_SCORE}
    assert list(shown(found, limits).start) == [0, 2]  # swim is in no list
