"""Thresholds by purpose against trying every one."""

import numpy as np
import pytest
from evaluation_tables import detections, hits_by_definition, instances, random_tables
from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.config.predict import BEST_F1, Wish
from tad_blockdrop.metrics import operating_point
from tad_blockdrop.metrics.evidence import gather_evidence
from tad_blockdrop.metrics.operating_point import (
    choose,
    curve,
    pick,
)

COUNTS = Wish("counts")


def by_trying(score, right, actions):
    """(threshold, shown, right, precision, recall) of every threshold, the highest first."""
    rows = []
    for threshold in sorted(set(score), reverse=True):
        hits = [hit for s, hit in zip(score, right, strict=True) if s >= threshold]
        rows.append((threshold, len(hits), sum(hits), sum(hits) / len(hits), sum(hits) / actions))
    return rows


@given(
    ranked=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=20),
    more=st.integers(0, 5),
    asked=st.integers(1, 19).map(lambda step: step / 20),
)
def test_no_threshold_does_better(ranked, more, asked):
    ranked.sort(key=lambda pair: -pair[0])
    score, right = [s / 12 for s, _ in ranked], [hit for _, hit in ranked]
    actions = sum(right) + more
    found = curve(np.array(score), np.array(right, bool), actions)
    wishes = [BEST_F1, COUNTS, Wish("precision", asked), Wish("recall", asked)]
    choices = [pick(found, wish) for wish in wishes]
    if not sum(right):
        assert choices == [None] * 4
        return
    tried = by_trying(score, right, actions)
    f1, counts, precise, complete = choices
    harmonic = {t: 2 * p * r / (p + r) if p else 0 for t, _, _, p, r in tried}
    assert harmonic[f1.threshold] == pytest.approx(max(harmonic.values()))
    assert f1.threshold == max(
        t for t, v in harmonic.items() if np.isclose(v, max(harmonic.values()))
    )
    apart = {t: abs(n - actions) for t, n, *_ in tried}
    assert counts == (max(t for t, v in apart.items() if v == min(apart.values())), None)
    for choice, rate, other in ((precise, 3, 4), (complete, 4, 3)):
        most = max(row[rate] for row in tried)
        assert choice.best == (None if most >= asked else most)
        enough = [row for row in tried if row[rate] >= min(asked, most)]
        best = max((row[other], row[0]) for row in enough)
        if rate == 3:  # of those with the precision, the highest recall
            assert choice.threshold == best[1]
        else:
            assert choice.threshold == enough[0][0]


@pytest.mark.parametrize("seed", range(5))
def test_the_thresholds_of_classes_with_enough_examples_are_their_own(seed, monkeypatch):
    monkeypatch.setattr(operating_point, "ENOUGH", 14)
    found, truth, videos = random_tables(seed, 40, 120)
    truth = truth.drop_duplicates(ignore_index=True)
    found = found[found["video_id"].isin(videos)]
    labels = ["c0", "c1", "c2"]
    evidence = gather_evidence(found, truth, videos, labels, 0.4)
    (chosen,) = choose(evidence, [BEST_F1])
    known = found[found["label"].isin(labels)].sort_values("score", ascending=False, kind="stable")
    hits = {}
    for label in labels:
        mine = known[known["label"] == label]
        hits |= dict(
            zip(
                mine.index,
                hits_by_definition(mine, truth[truth["label"] == label], 0.4),
                strict=True,
            )
        )
    for label, threshold, common in zip(labels, chosen.chosen, chosen.common, strict=True):
        own = (truth["label"] == label).sum()
        assert common == (own < 14)
        mine = known if common else known[known["label"] == label]
        actions = len(truth) if common else own
        tried = by_trying(mine["score"], [hits[i] for i in mine.index], actions)
        f1 = {t: right / (shown + actions) for t, shown, right, *_ in tried}
        assert f1[threshold] == pytest.approx(max(f1.values()))


def test_a_class_of_which_nothing_is_found_shares_the_common_threshold(monkeypatch):
    monkeypatch.setattr(operating_point, "ENOUGH", 20)
    times = range(0, 200, 10)
    truth = instances(*(("a", t, t + 10, label) for t in times for label in ("run", "jump")))
    found = detections(*(("a", t, t + 10, "run", 0.9 - t / 1000) for t in times))
    (chosen,) = choose(gather_evidence(found, truth, ["a"], ["run", "jump"], 0.5), [BEST_F1])
    assert chosen.common == [False, True]
    assert chosen.chosen[0] == chosen.chosen[1] == pytest.approx(0.71)
    wish = Wish("recall", 0.9)
    (chosen,) = choose(gather_evidence(found, truth, ["a"], ["run", "jump"], 0.5), [wish])
    assert chosen.best[1] == 0.5  # all that is found of both classes
    (nothing,) = choose(gather_evidence(found.head(0), truth, ["a"], ["run"], 0.5), [BEST_F1])
    assert np.isnan(nothing.chosen).all()
