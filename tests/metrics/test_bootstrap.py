"""The bootstrap against evaluating tables in which videos really appear several times."""

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import random_tables

from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.metrics.bootstrap import average_map_of_draws, bootstrap_difference
from tad_blockdrop.metrics.matching import match

TIOUS = [0.3, 0.6]


def copied(table, videos, times):
    """The table in which video i appears ``times[i]`` times, under different names."""
    parts = [
        table[table.video_id == video].assign(video_id=f"{video}-{copy}")
        for video, n in zip(videos, times, strict=True)
        for copy in range(n)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seed", range(8))
def test_weights_equal_copies_of_videos(seed):
    found, truth, videos = random_tables(seed, 25, 150, videos=6)
    found["score"] = np.random.default_rng(seed).permutation(len(found)) / len(found)  # no ties
    found = found[found.video_id.isin(videos)]
    times = np.random.default_rng(seed).multinomial(6, np.full(6, 1 / 6))
    names = [f"{video}-{copy}" for video, n in zip(videos, times, strict=True) for copy in range(n)]
    expected = average_precision(
        copied(found, videos, times), copied(truth, videos, times), names, TIOUS
    )
    weights = np.float32(times)[:, None]
    ours = average_map_of_draws(match(found, truth, videos, TIOUS), weights)
    np.testing.assert_allclose(ours, average_map(expected), rtol=1e-5)


def test_a_model_does_not_differ_from_itself():
    found, truth, videos = random_tables(0, 20, 100)
    result = bootstrap_difference(found, found, truth, videos, TIOUS, 50)
    assert result == (0, 0)


def test_the_interval_repeats_and_turns_round_with_the_models():
    first, truth, videos = random_tables(1, 30, 200, videos=8)
    second = random_tables(2, 30, 200, videos=8)[0]
    result = bootstrap_difference(first, second, truth, videos, TIOUS, 200, seed=3)
    assert result == bootstrap_difference(first, second, truth, videos, TIOUS, 200, seed=3)
    turned = bootstrap_difference(second, first, truth, videos, TIOUS, 200, seed=3)
    np.testing.assert_allclose(turned, [-result[1], -result[0]], atol=1e-9)
    maps = [
        average_map(average_precision(t[t.video_id.isin(videos)], truth, videos, TIOUS))
        for t in (first, second)
    ]
    assert result[0] < maps[0] - maps[1] < result[1]


def test_the_interval_of_a_mean_over_videos_is_as_wide_as_statistics_say():
    # one class per video, each found or not: average mAP over a draw is a weighted mean
    n = 200
    names = [f"v{i:03}" for i in range(n)]
    truth = pd.DataFrame({"video_id": names, "start": 0.0, "end": 1.0, "label": "run"})
    found = truth.iloc[: n // 2].assign(score=1.0)
    nothing = found.iloc[:0]
    low, high = bootstrap_difference(found, nothing, truth, names, [0.5], 4000)
    half_width = 1.96 * np.sqrt(0.25 / n)  # recall is binomial, precision is 1
    assert low == pytest.approx(0.5 - half_width, abs=0.012)
    assert high == pytest.approx(0.5 + half_width, abs=0.012)


def test_no_resamples_is_refused():
    found, truth, videos = random_tables(0, 5, 5)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_difference(found, found, truth, videos, TIOUS, 0)
