"""Recall of the best detections, as the tables of temporal action detection report it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tad_blockdrop.evaluation.matching import candidates


def recall_at(
    detections: pd.DataFrame,
    instances: pd.DataFrame,
    videos: Sequence[str],
    tious: Sequence[float],
    multiples: Sequence[int] = (1, 5),
) -> pd.DataFrame:
    """Mean over classes of the recall of each video's best detections: (tiou, multiple, recall).

    In a video with n instances of a class the n·multiple best detections of the class may answer;
    an instance is found if any of them reaches the tIoU (one detection may find several).
    Tables and errors as in ``matching.candidates``.
    """
    found = candidates(detections, instances, videos, min(tious))
    detection, instance, tiou = found.pairs
    rank = _rank_in_group(found.label * (len(found.videos) + 1) + found.video + 1)[detection]
    allowed = found.truth[found.label[detection], found.video[detection]]
    total = found.truth.sum(axis=1)
    rows = []
    for threshold in tious:
        for multiple in multiples:
            good = (tiou >= threshold) & (rank < multiple * allowed)
            labels = found.true_label[np.unique(instance[good])]
            share = np.bincount(labels, minlength=len(total)) / total
            rows.append((threshold, multiple, float(share.mean())))
    return pd.DataFrame(rows, columns=["tiou", "multiple", "recall"])


def _rank_in_group(groups: np.ndarray) -> np.ndarray:
    """How many earlier elements have the same value."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], groups[order], "left")
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - first
    return rank
