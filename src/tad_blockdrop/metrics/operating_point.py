"""A score threshold per class, for those who need decisions instead of a ranking."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tad_blockdrop.metrics.matching import match


def operating_points(
    detections: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str], tiou: float = 0.5
) -> pd.DataFrame:
    """Per class of the ground truth the score threshold with the best F1 at ``tiou``.

    Columns label, threshold, precision, recall, f1; detections with score ≥ threshold are kept.
    Of equally good thresholds the highest is given. A class of which nothing is found has F1 0
    and no threshold (NaN). Tables and errors as in ``matching.match``.
    """
    matches = match(detections, instances, videos, [tiou])
    rows = []
    for label, own, truth in matches.by_class():
        found, score = matches.hit[0, own].cumsum(), matches.score[own]
        # a threshold keeps all detections of its score, so only the last of equals can be one
        last = np.flatnonzero(np.append(score[1:] != score[:-1], True)[: len(score)])
        if not len(last) or found[-1] == 0:
            rows.append((label, np.nan, 0.0, 0.0, 0.0))
            continue
        f1 = 2 * found[last] / (last + 1 + truth)
        best = last[f1.argmax()]
        precision, recall = found[best] / (best + 1), found[best] / truth
        rows.append((label, score[best], precision, recall, f1.max()))
    return pd.DataFrame(rows, columns=["label", "threshold", "precision", "recall", "f1"])
