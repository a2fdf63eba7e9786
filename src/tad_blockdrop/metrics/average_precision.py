"""Mean average precision of temporal action detection.

Interpolated average precision as in the ActivityNet evaluation toolkit (Caba Heilbron et al.,
CVPR 2015): the area under the precision envelope over recall, per class and tIoU threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.metrics.matching import Matches, match


def average_precision(
    detections: pd.DataFrame,
    instances: pd.DataFrame,
    videos: Sequence[str],
    tious: Sequence[float],
) -> pd.DataFrame:
    """Average precision of every class with ground truth in ``videos``: (label, tiou, ap).

    ``detections``: video_id, start, end (s), label, score; ``instances``: video_id, start, end,
    label. What counts how is told at ``matching.match``, with the errors it raises.
    A class without detections has 0.
    """
    return precision_table(match(detections, instances, videos, tious))


def precision_table(matches: Matches) -> pd.DataFrame:
    """Average precision (label, tiou, ap) of detections that are already matched."""
    bounds = np.searchsorted(matches.label, np.arange(len(matches.labels) + 1))
    rows = [
        (label, tiou, _area(hit[begin:end], int(truth)))
        for label, begin, end, truth in zip(
            matches.labels, bounds[:-1], bounds[1:], matches.truth.sum(axis=1), strict=True
        )
        for tiou, hit in zip(matches.tious, matches.hit, strict=True)
    ]
    return pd.DataFrame(rows, columns=["label", "tiou", "ap"])


def _area(hit: NDArray[np.bool_], truth: int) -> float:
    """Area under the precision envelope; recall only grows at the hits."""
    positions = np.flatnonzero(hit) + 1
    precision = np.arange(1, len(positions) + 1) / positions
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / truth)


def mean_ap(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over classes of a table of average precision: (tiou, map)."""
    means = table.groupby("tiou")["ap"].mean()
    return pd.DataFrame({"tiou": means.index.to_numpy(), "map": means.to_numpy()})


def average_map(table: pd.DataFrame) -> float:
    """The mean of a table of average precision over classes and thresholds."""
    return float(table["ap"].mean())


def metrics(
    detections: pd.DataFrame,
    instances: pd.DataFrame,
    videos: Sequence[str],
    tious: Sequence[float],
    n_listed: int | None = None,
) -> dict[str, float]:
    """The numbers of one evaluation: ``average_map``, ``map@<tiou>``, and what they rest on.

    ``n_videos`` were evaluated of the ``n_listed`` that the subset lists (videos may be missing);
    ``n_instances`` of ground truth and ``n_detections`` of their classes counted.
    """
    matches = match(detections, instances, videos, tious)
    table = precision_table(matches)
    means = mean_ap(table)
    per_tiou = {f"map@{t:g}": float(m) for t, m in zip(means["tiou"], means["map"], strict=True)}
    return {
        "average_map": average_map(table),
        **per_tiou,
        "n_videos": len(matches.videos),
        "n_listed": len(matches.videos) if n_listed is None else n_listed,
        "n_instances": int(matches.truth.sum()),
        "n_detections": len(matches.label),
    }
