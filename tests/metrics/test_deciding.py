"""What a checkpoint states: every point, and expectations no video had a part in choosing."""

import numpy as np
import pytest
from evaluation_tables import random_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.config.predict import BEST_F1, Wish
from tad_blockdrop.detector.decisions import Decisions
from tad_blockdrop.metrics.deciding import FOLDS, STEPS, WISHES, cross_fitted, decide
from tad_blockdrop.metrics.evidence import gather_evidence
from tad_blockdrop.metrics.operating_point import choose, shown
from tad_blockdrop.metrics.rates import rates

LABELS = ["c0", "c1", "c2"]


def evidence_of(seed, videos=7, n_found=150):
    found, truth, listed = random_tables(seed, 60, n_found, videos)
    found = found[found["video_id"].isin(listed) & found["label"].isin(LABELS)]
    truth = truth.drop_duplicates(ignore_index=True)
    return found, truth, listed, gather_evidence(found, truth, listed, LABELS, 0.5)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0, 1))
def test_what_is_kept_is_counted_as_in_the_rates(seed, threshold):
    found, truth, listed, evidence = evidence_of(seed, n_found=40)
    counts = evidence.counts(evidence.score >= threshold).sum(axis=2)
    kept = shown(found, dict.fromkeys(LABELS, threshold))
    table = rates(kept, truth, listed, 0.5, 0).iloc[1:].set_index("label")
    table = table.reindex(LABELS, fill_value=0)
    assert counts.tolist() == table[["shown", "right", "actions"]].to_numpy().T.tolist()


def test_no_video_is_rated_with_thresholds_that_it_chose():
    found, truth, listed, evidence = evidence_of(1)
    wishes = [BEST_F1, Wish("precision", 0.6)]
    limits = cross_fitted(evidence, wishes)
    for fold in range(FOLDS):
        own = {video for place, video in enumerate(listed) if place % FOLDS == fold}
        others = [video for video in listed if video not in own]
        apart = gather_evidence(found[found["video_id"].isin(others)], truth, others, LABELS, 0.5)
        for place, chosen in enumerate(choose(apart, wishes)):
            for video in own:
                assert limits[place, :, listed.index(video)].tolist() == chosen.chosen.tolist()


def test_expectations_are_the_rates_of_cross_fitted_thresholds():
    found, truth, listed, evidence = evidence_of(2)
    decisions = decide(evidence, "holdout", 50, 3)
    assert (decisions.videos, decisions.actions) == (7, len(truth))
    assert [Wish(p.purpose, p.asked) for p in decisions.points] == WISHES
    wish = Wish("recall", 0.5)
    (limits,) = cross_fitted(evidence, [wish])
    limit = [
        limits[LABELS.index(label), listed.index(video)]
        for label, video in zip(found["label"], found["video_id"], strict=True)
    ]
    table = rates(found[found["score"] >= limit], truth, listed, 0.5, 50, 3)
    point = decisions.point(wish)
    for row in table.to_dict("records"):
        mine = point.by_class[row["label"]] if row["label"] in LABELS else point.expected
        for name in ("precision", "recall", "ratio"):
            wanted = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
            assert list(getattr(mine, name)) == pytest.approx(wanted, abs=5.1e-5)
        assert (mine.shown, mine.actions) == (row["shown"], row["actions"])
    assert set(point.by_class) == set(table["label"].dropna())


def test_points_promise_at_least_what_was_asked():
    decisions = decide(evidence_of(3)[-1], "train", 0, 0)
    for asked in (0.01, 0.05, 0.33, 0.6, 0.95, 0.96, 0.99):
        assert decisions.point(Wish("recall", asked)).asked == min(s for s in STEPS if s >= asked)
    with pytest.raises(KeyError):
        decisions.point(Wish("recall", 0.995))
    point = decisions.point(Wish("precision", 0.99))
    assert point.unmet
    assert all(value < 0.99 for value in point.unmet.values())
    assert point.expected.precision.low is None  # no draws, no interval


def test_decisions_survive_their_file():
    decisions = decide(evidence_of(4)[-1], "holdout", 20, 0)
    assert Decisions.model_validate_json(decisions.model_dump_json(indent=1)) == decisions


def test_one_video_leaves_nothing_to_expect():
    decisions = decide(evidence_of(5, videos=1)[-1], "holdout", 20, 0)
    assert decisions.point(BEST_F1).expected is None
    assert np.isfinite(list(decisions.point(BEST_F1).thresholds.values())).all()


def test_a_model_that_finds_nothing_still_states_its_points():
    *_, evidence = evidence_of(6, n_found=0)
    point = decide(evidence, "holdout", 20, 0).point(BEST_F1)
    assert point.thresholds == {}
    assert point.expected.precision == (None, None, None)
    assert point.expected.recall.value == 0
