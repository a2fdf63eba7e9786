"""How sure a difference in average mAP is: a paired bootstrap over videos.

The videos are drawn with replacement many times, the same draw for both models (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993); a video drawn twice counts as two videos.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.metrics.matching import Matches, match
from tad_blockdrop.metrics.rates import draw_videos

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]  # whole numbers, exact up to 2^24


def bootstrap_difference(
    detections: pd.DataFrame,
    reference: pd.DataFrame,
    instances: pd.DataFrame,
    videos: Sequence[str],
    tious: Sequence[float],
    resamples: int,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % interval of the average mAP of ``detections`` minus that of ``reference``.

    Percentiles of resamples; tables and errors as in ``matching.match``. A resample in which a
    class has no ground truth averages over the others. Detections outside ``videos`` belong to no
    drawn video: they are not counted, as if each model was run on the drawn videos only.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    tables = [
        match(table[table["video_id"].isin(list(videos))], instances, videos, tious)
        for table in (detections, reference)
    ]
    draws = draw_videos(len(tables[0].videos), resamples, seed)
    weights = np.ascontiguousarray(draws.T, np.float32)
    drawn = [average_map_of_draws(matches, weights) for matches in tables]
    low, high = np.nanpercentile(drawn[0] - drawn[1], [2.5, 97.5])
    return float(low), float(high)


def average_map_of_draws(matches: Matches, weights: Counts) -> Floats:
    """Average mAP (R,) of R draws of videos; ``weights`` (V, R) tells how often each was drawn.

    NaN for a draw without any ground truth.
    """
    truth = matches.truth @ weights.astype(np.float64)
    total = np.zeros(weights.shape[1])
    for instances, (_, own, _) in zip(truth, matches.by_class(), strict=True):
        hit = matches.hit[:, own]
        anywhere = np.flatnonzero(hit.any(axis=0))
        if not len(anywhere):
            continue
        seen, video = np.unique(matches.video[own], return_inverse=True)
        drawn = weights[seen]
        position = _counts_until(video, anywhere, len(seen)) @ drawn
        for hits in hit:
            rows = hits[anywhere]
            area = _area(drawn[video[anywhere[rows]]], position[rows])
            total += np.divide(area, instances, where=instances > 0, out=np.zeros_like(total))
    classes = (truth > 0).sum(axis=0)
    means: Floats = total / len(matches.tious) / np.where(classes > 0, classes, np.nan)
    return means


def _counts_until(video: NDArray[np.int64], ends: NDArray[np.int64], n_videos: int) -> Counts:
    """(len(ends), V): detections of each video up to and with each of the ``ends``, ascending."""
    counts = np.zeros((len(ends), n_videos), np.float32)
    piece = np.searchsorted(ends, np.arange(ends[-1] + 1))
    np.add.at(counts, (piece, video[: ends[-1] + 1]), 1)
    return counts.cumsum(axis=0)


def _area(drawn: Counts, position: Counts) -> Floats:
    """Area under the precision envelope times the instances, for each draw.

    ``drawn`` (hits, R): how often each hit's video was drawn; ``position`` (hits, R): how many
    drawn detections rank as the hit or higher. Copies of a hit are neighbours, the
    precision is highest at the last of them, and that is where it is taken.
    """
    found = drawn.cumsum(axis=0)
    precision = np.divide(found, position, where=position > 0, out=np.zeros_like(found))
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    area: Floats = np.einsum("hr,hr->r", drawn, envelope, dtype=np.float64)
    return area
