"""Recall of the best detections against its definition."""

import pytest
from evaluation_tables import detections, instances, random_tables, tiou
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.evaluation.recall import recall_at


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_truth=st.integers(1, 14), n_found=st.integers(0, 60))
def test_recall_is_what_its_definition_says(seed, n_truth, n_found):
    found, truth, videos = random_tables(seed, n_truth, n_found)
    truth = truth.drop_duplicates(ignore_index=True)
    table = recall_at(found, truth, videos, [0.3, 0.6], multiples=(1, 2))
    for row in table.itertuples():
        shares = []
        for _, of_class in truth.groupby("label"):
            hit = 0
            for video, targets in of_class.groupby("video_id"):
                mine = found[(found.video_id == video) & (found.label == targets.label.iloc[0])]
                best = mine.sort_values("score", ascending=False, kind="stable")
                best = best.head(row.multiple * len(targets))
                hit += sum(
                    any(tiou(detection, target) >= row.tiou for _, detection in best.iterrows())
                    for _, target in targets.iterrows()
                )
            shares.append(hit / len(of_class))
        assert row.recall == pytest.approx(sum(shares) / len(shares), abs=1e-12)


def test_more_detections_may_answer_with_a_larger_multiple():
    truth = instances(("a", 0, 10, "run"))
    found = detections(("a", 50, 60, "run", 0.9), ("a", 0, 10, "run", 0.8))
    table = recall_at(found, truth, ["a"], [0.5], multiples=(1, 2))
    assert table.recall.tolist() == [0, 1]
