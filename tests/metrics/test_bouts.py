"""Bouts and times against frame by frame counting, edits against trying all of them."""

from functools import cache
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import detections, instances, random_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.metrics.bouts import bout_table, bouts, edit_distance, edit_score, time_table

SECONDS = 20  # no segment of random_tables ends later, and all begin and end at whole seconds


def frames(table, video, label):
    """Whether the class is on in each second."""
    own = table[(table.video_id == video) & (table.label == label)]
    return np.array([((own.start <= t) & (t + 1 <= own.end)).any() for t in range(SECONDS)], bool)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), n_found=st.integers(0, 20), videos=st.integers(1, 3))
def test_tables_are_what_counting_seconds_gives(seed, n_found, videos):
    found, truth, listed = random_tables(seed, 8, n_found, videos)
    table = bout_table(found, truth, listed)
    sums = {}
    for video in listed:
        for label in sorted({*found.label, *truth.label}):
            here, there = frames(found, video, label), frames(truth, video, label)
            sums.setdefault(label, np.zeros(3))
            sums[label] += (here & there).sum(), here.sum(), there.sum()
            row = table[(table.video_id == video) & (table.label == label)]
            assert len(row) == (here | there).any()
            for on, name in ((here, ""), (there, "true_")):
                runs = sum(key for key, _ in groupby(on))
                assert row[f"{name}bouts"].sum() == runs
                assert row[f"{name}seconds"].sum() == on.sum()
            assert row["agreed"].sum() == pytest.approx((here & there).sum())
    classes = time_table(table)
    assert pd.isna(classes.label[0])
    expected = {label: 2 * both / (a + b) for label, (both, a, b) in sums.items() if a + b}
    assert classes.set_index("label").frame_f1.iloc[1:].to_dict() == pytest.approx(expected)
    both, a, b = sum(sums.values())
    assert classes.frame_f1[0] == pytest.approx(2 * both / (a + b))


def test_segments_that_touch_are_one_bout_in_order_of_time():
    table = bouts(
        instances(
            ("a", 4, 6, "run"), ("a", 0, 4, "run"), ("a", 1, 2, "run"), ("a", 7, 8, "run"),
            ("a", 2, 9, "jump"), ("a", 9, 9, "jump"), ("b", 1, 2, "run"),
        )
    )  # fmt: skip
    assert [tuple(row) for row in table.to_numpy()] == [
        ("a", "run", 0, 6), ("a", "jump", 2, 9), ("a", "run", 7, 8), ("b", "run", 1, 2),
    ]  # fmt: skip


@cache
def edits(first, second):
    """By definition: whichever edit of the first letters is the cheapest."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        edits(first[1:], second[1:]) + (first[0] != second[0]),
        edits(first[1:], second) + 1,
        edits(first, second[1:]) + 1,
    )


@settings(max_examples=100)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edits_are_the_fewest(first, second):
    assert edit_distance(first, second) == edits(first, second)


def test_the_edit_score_is_the_mean_over_videos():
    truth = instances(("a", 0, 1, "run"), ("a", 2, 3, "jump"), ("b", 0, 1, "run"))
    found = detections(("a", 5, 6, "run", 0.9), ("c", 0, 1, "run", 0.9))
    # a: one of two bouts; b: none of one; d: rightly nothing
    assert edit_score(found, truth, ["a", "b", "d"]) == pytest.approx((0.5 + 0 + 1) / 3)
    assert edit_score(truth.assign(score=1.0), truth, ["a", "b"]) == 1


def test_without_detections_nothing_agrees():
    empty = detections().astype({"start": float, "end": float, "score": float})
    truth = instances(("a", 0, 2, "run"))
    classes = time_table(bout_table(empty, truth, ["a"]))
    assert classes.frame_f1.tolist() == [0, 0]
    assert classes.true_seconds.tolist() == [2, 2]
