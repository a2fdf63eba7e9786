"""Operating points against trying every threshold."""

import numpy as np
import pytest
from evaluation_tables import detections, hits_by_definition, instances, random_tables

from tad_blockdrop.metrics.operating_point import operating_points


@pytest.mark.parametrize("seed", range(10))
def test_no_threshold_has_a_better_f1(seed):
    found, truth, videos = random_tables(seed, 20, 80)
    truth = truth.drop_duplicates(ignore_index=True)
    table = operating_points(found, truth, videos, 0.4).set_index("label")
    assert list(table.index) == sorted(set(truth.label))
    for label, row in table.iterrows():
        mine = found[found.label == label].sort_values("score", ascending=False, kind="stable")
        target = truth[truth.label == label]
        hits = np.array(hits_by_definition(mine, target, 0.4))
        scores = mine.score.to_numpy()
        tried = {}
        for threshold in set(scores):
            right = hits[scores >= threshold].sum()
            precision, recall = right / (scores >= threshold).sum(), right / len(target)
            f1 = 2 * precision * recall / (precision + recall) if right else 0.0
            tried[threshold] = (f1, precision, recall)
        assert row.f1 == pytest.approx(max(tried.values())[0])
        if row.f1:
            f1, precision, recall = tried[row.threshold]
            assert (row.f1, row.precision, row.recall) == pytest.approx((f1, precision, recall))
            assert row.threshold == max(t for t, v in tried.items() if np.isclose(v[0], row.f1))


def test_a_class_of_which_nothing_is_found_has_no_threshold():
    truth = instances(("a", 0, 10, "run"), ("a", 0, 10, "jump"))
    table = operating_points(detections(("a", 50, 60, "run", 0.9)), truth, ["a"])
    assert table.f1.tolist() == [0, 0]
    assert table.threshold.isna().all()
