"""Mean average precision of temporal action detection.

Interpolated average precision as in the ActivityNet evaluation toolkit (Caba Heilbron et al.,
CVPR 2015): the area under the precision envelope over recall, per class and tIoU threshold.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.metrics.matching import Matches, match


def average_precision(
    detections: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str], tious: Sequence[float]
) -> pd.DataFrame:
    """Average precision of every class with ground truth in ``videos``: (label, tiou, ap).

    ``detections``: video_id, start, end (s), label, score; ``instances``: video_id, start, end,
    label. What counts how is told at ``matching.match``, with the errors it raises.
    A class without detections has 0.
    """
    return precision_table(match(detections, instances, videos, tious))


def precision_table(matches: Matches) -> pd.DataFrame:
    """Average precision (label, tiou, ap) of detections that are already matched."""
    rows = [
        (label, tiou, area(hit[own], truth))
        for label, own, truth in matches.by_class()
        for tiou, hit in zip(matches.tious, matches.hit, strict=True)
    ]
    return pd.DataFrame(rows, columns=["label", "tiou", "ap"])


def area(hit: NDArray[np.bool_], truth: int) -> float:
    """Area under the precision envelope of one class, best detection first.

    ``hit`` (n,): which detections are right, ``truth``: the instances there are. Recall only grows
    at the hits.
    """
    positions = np.flatnonzero(hit) + 1
    precision = np.arange(1, len(positions) + 1) / positions
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / truth)


def average_map(table: pd.DataFrame) -> float:
    """The mean of a table of average precision over classes and thresholds."""
    return float(table["ap"].mean())
