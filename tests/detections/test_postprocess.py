"""Post-processing against its definition, written out one proposal at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.config import PostprocessConfig
from tad_blockdrop.detections import postprocess
from tad_blockdrop.detections.postprocess import (
    Proposals,
    concatenate,
    fuse_classifier,
    overlaps,
    soft_nms,
    suppress,
    vote,
    window_proposals,
)

CONFIG = PostprocessConfig()


def random_proposals(seed, n, videos=1, labels=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 40, n)
    return Proposals(
        np.column_stack((start, start + rng.lognormal(1.5, 1, n))).astype(dtype),
        rng.beta(0.5, 2, n).astype(dtype),
        rng.integers(0, labels, n),
        rng.integers(0, videos, n),
    )


def proposals(*rows):
    """From rows (start, end, score, label, video)."""
    table = np.array(rows, float).reshape(-1, 5)
    return Proposals(
        table[:, :2], table[:, 2], table[:, 3].astype(np.int64), table[:, 4].astype(np.int64)
    )


def iou(a, b):
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return inter / (a[1] - a[0] + b[1] - b[0] - inter)


def soft_nms_by_definition(given, sigma, min_score):
    """Final scores by index; what decays below ``min_score`` is missing."""
    final = {}
    for group in sorted(set(zip(given.videos, given.labels, strict=True))):
        scores = {
            i: float(given.scores[i])
            for i in range(len(given))
            if (given.videos[i], given.labels[i]) == group and given.scores[i] >= min_score
        }
        while scores:
            best = max(scores, key=lambda i: (scores[i], -i))
            final[best] = scores.pop(best)
            for i in list(scores):
                scores[i] *= math.exp(-(iou(given.segments[best], given.segments[i]) ** 2) / sigma)
                if scores[i] < min_score:
                    del scores[i]
    return final


def assert_same(scores, expected):
    assert set(np.flatnonzero(scores)) == set(expected)
    for i, score in expected.items():
        assert scores[i] == pytest.approx(score, rel=1e-4)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 70),
    videos=st.integers(1, 3),
    labels=st.integers(1, 4),
    sigma=st.sampled_from([0.3, 0.7]),
    min_score=st.sampled_from([0.0, 1e-3, 0.1]),
)
def test_soft_nms_is_what_its_definition_says(seed, n, videos, labels, sigma, min_score):
    given_ = random_proposals(seed, n, videos, labels)
    assert_same(
        soft_nms(given_, sigma, min_score), soft_nms_by_definition(given_, sigma, min_score)
    )


def test_soft_nms_of_many_proposals_of_very_unequal_classes():
    large = random_proposals(0, 500)
    small = random_proposals(1, 9)
    both = concatenate(
        [large, Proposals(small.segments, small.scores, small.labels + 1, small.videos)]
    )
    assert_same(soft_nms(both, 0.7, 1e-4), soft_nms_by_definition(both, 0.7, 1e-4))


def test_soft_nms_decays_the_lower_of_two_by_the_gaussian_of_their_overlap():
    scores = soft_nms(proposals((0, 2, 0.5, 0, 0), (0, 1, 0.9, 0, 0)), 0.7, 0.0)
    np.testing.assert_allclose(scores, [0.5 * math.exp(-0.25 / 0.7), 0.9], rtol=1e-6)


def test_soft_nms_leaves_other_classes_and_other_videos_alone():
    scores = soft_nms(proposals((0, 2, 0.5, 0, 0), (0, 2, 0.9, 1, 0), (0, 2, 0.8, 0, 1)), 0.7, 0.0)
    np.testing.assert_allclose(scores, [0.5, 0.9, 0.8], rtol=1e-6)


def test_soft_nms_prefers_the_first_of_equals():
    scores = soft_nms(proposals((0, 2, 0.5, 0, 0), (0, 2, 0.5, 0, 0)), 1.0, 0.0)
    np.testing.assert_allclose(scores, [0.5, 0.5 / math.e], rtol=1e-6)


def test_soft_nms_survives_segments_without_length():
    scores = soft_nms(proposals((3, 3, 0.9, 0, 0), (3, 3, 0.8, 0, 0), (2, 4, 0.7, 0, 0)), 0.7, 0.0)
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7], rtol=1e-6)


@pytest.mark.parametrize("max_kept", [1, 7, 60])
def test_a_limit_changes_nothing_above_it(max_kept):
    given_ = random_proposals(3, 900, videos=2, labels=3)
    free, limited = soft_nms(given_, 0.7, 0.0), soft_nms(given_, 0.7, 0.0, max_kept)
    for video in range(2):
        mine = np.flatnonzero(given_.videos == video)
        best = mine[np.argsort(-free[mine])[:max_kept]]
        np.testing.assert_array_equal(limited[best], free[best])
        rest = np.setdiff1d(mine, best)
        assert (limited[rest] <= free[best].min()).all()


def test_soft_nms_keeps_single_precision_input_exact_enough():
    given_ = random_proposals(5, 300, dtype=np.float32)
    assert_same(soft_nms(given_, 0.7, 1e-3), soft_nms_by_definition(given_, 0.7, 1e-3))


def test_suppress_sorts_limits_and_rescores():
    config = CONFIG.model_copy(update={"max_detections": 2})
    kept = suppress(
        proposals((0, 1, 0.3, 1, 1), (0, 1, 0.2, 0, 0), (5, 6, 0.6, 0, 1), (5, 6, 0.5, 0, 1)),
        config,
    )
    assert kept.videos.tolist() == [0, 1, 1]
    np.testing.assert_allclose(kept.scores, [0.2, 0.6, 0.3], rtol=1e-6)
    assert kept.labels.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(kept.segments, [[0, 1], [5, 6], [0, 1]])


def test_suppress_of_nothing_is_nothing():
    assert len(suppress(concatenate([]), CONFIG)) == 0
    assert len(suppress(concatenate([]), CONFIG.model_copy(update={"voting_tiou": 0.9}))) == 0


def test_voting_is_the_score_weighted_mean_of_close_proposals_of_the_video():
    all_ = proposals((0, 10, 0.6, 0, 0), (1, 10, 0.3, 0, 0), (50, 60, 0.9, 0, 0), (0, 8, 0.9, 0, 1))
    voted = vote(all_[np.array([0, 2])], all_, 0.85)
    np.testing.assert_allclose(voted, [[(0 * 0.6 + 1 * 0.3) / 0.9, 10], [50, 60]])


def test_voting_uses_scores_from_before_the_suppression():
    all_ = proposals((0, 10, 0.6, 0, 0), (1, 10, 0.3, 0, 0))
    kept = suppress(all_, CONFIG.model_copy(update={"voting_tiou": 0.85}))
    np.testing.assert_allclose(kept.segments, [[1 / 3, 10]] * 2)
    np.testing.assert_allclose(kept.scores, [0.6, 0.3 * math.exp(-0.81 / 0.7)], rtol=1e-6)


def test_voting_looks_at_a_bounded_number_of_pairs_together(monkeypatch):
    all_ = random_proposals(7, 300, videos=2)
    kept = all_[np.argsort(all_.videos, kind="stable")]
    whole, sizes = vote(kept, all_, 0.3), []

    def watched(a, b):
        sizes.append(len(a) * len(b))
        return overlaps(a, b)

    monkeypatch.setattr(postprocess, "overlaps", watched)
    monkeypatch.setattr(postprocess, "VOTES", 2000)
    np.testing.assert_allclose(vote(kept, all_, 0.3), whole, rtol=1e-12)
    assert max(sizes) <= 2000 + len(all_)  # parts of a video differ by one row
    monkeypatch.setattr(postprocess, "VOTES", 1)
    np.testing.assert_allclose(vote(kept, all_, 0.3), whole, rtol=1e-12)


def test_window_proposals_pair_points_and_classes_above_the_threshold():
    segments = np.array([[0.0, 1], [2, 3]])
    found = window_proposals(segments, np.array([[0.001, 0.5], [0.7, 0.0011]]), CONFIG, video=4)
    np.testing.assert_array_equal(found.segments, [[0, 1], [2, 3], [2, 3]])
    assert found.scores.tolist() == [0.5, 0.7, 0.0011]
    assert found.labels.tolist() == [1, 0, 1]
    assert found.videos.tolist() == [4, 4, 4]


@given(seed=st.integers(0, 1000), pre_nms=st.integers(1, 40))
def test_window_proposals_keep_the_best(seed, pre_nms):
    scores = np.random.default_rng(seed).integers(0, 6, (10, 3)) / 5  # with ties
    config = CONFIG.model_copy(update={"pre_nms": pre_nms})
    found = window_proposals(np.zeros((10, 2)), scores, config)
    best = np.sort(scores[scores > 0])[::-1][:pre_nms]
    np.testing.assert_array_equal(np.sort(found.scores)[::-1], best)


def test_the_classifier_gives_each_proposal_its_videos_best_classes():
    fused = fuse_classifier(
        proposals((0, 1, 0.8, 0, 0), (2, 3, 0.5, 0, 1)),
        np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]),
        top=2,
    )
    assert fused.videos.tolist() == [0, 0, 1, 1]
    assert fused.labels.tolist() == [1, 2, 0, 2]
    np.testing.assert_allclose(fused.scores, [0.48, 0.24, 0.25, 0.15])
    np.testing.assert_array_equal(fused.segments, [[0, 1], [0, 1], [2, 3], [2, 3]])


def test_more_classes_than_there_are_is_all_of_them():
    fused = fuse_classifier(proposals((0, 1, 0.8, 0, 0)), np.array([[0.1, 0.6]]), top=5)
    assert fused.labels.tolist() == [1, 0]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=8))
def test_overlaps_are_the_counted_unit_steps(parts):
    segments = np.array([(start, start + length) for start, length in parts], float)
    steps = [set(range(start, start + length)) for start, length in parts]
    expected = [[len(a & b) / max(len(a | b), 1) for b in steps] for a in steps]
    np.testing.assert_allclose(overlaps(segments, segments), expected)
