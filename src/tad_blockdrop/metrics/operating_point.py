"""A score threshold per class, for those who need decisions instead of a ranking."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tad_blockdrop.metrics.matching import match

TIOU = 0.5
"""The overlap from which on a detection is called right where one number has to be given."""

DEFAULT_SCORE = 0.2
"""The threshold of a class without an operating point. Focal losses keep scores low: a detection
that is fairly certain often scores about 0.5, and background below 0.1."""


def thresholds(stated: Mapping[str, float | None], classes: Sequence[str]) -> dict[str, float]:
    """The score from which on detections are shown, for each of the ``classes``.

    ``stated``: what a checkpoint says, its ``operating_point``.
    """
    known = {label: stated.get(label) for label in classes}
    return {label: DEFAULT_SCORE if low is None else float(low) for label, low in known.items()}


def shown(detections: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """The detections with at least the score that ``limits`` asks of their class."""
    low = detections["label"].map(limits).fillna(DEFAULT_SCORE)
    return detections[detections["score"] >= low.astype(float)]


def operating_points(
    detections: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str], tiou: float = TIOU
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
