"""Precision and recall of the detections that a person is shown, with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.metrics.evidence import gather_evidence
from tad_blockdrop.metrics.matching import Floats

Z = 1.959964  # standard errors to each side of a 95 % interval


def rates(
    shown: pd.DataFrame,
    instances: pd.DataFrame,
    videos: Sequence[str],
    tiou: float,
    resamples: int,
    seed: int = 0,
) -> pd.DataFrame:
    """How much of what is shown is right, and how much of what happens is found: by class.

    The first row is over all classes and has no label; the others are the classes that are shown or
    annotated, by name. Columns: label, shown, right, actions (counts), precision, precision_low,
    precision_high, the same of recall and of ratio, how many are shown for each action. Bounds are
    the 95 % percentiles of ``resamples`` draws of videos with replacement, NaN without draws; of a
    share that is the same in all draws Wilson's. A rate of nothing is NaN. Detections outside
    ``videos`` are not counted; tables and errors as in ``matching.match``.
    """
    shown = shown[shown["video_id"].isin(list(videos))]
    evidence = gather_evidence(shown, instances, videos, None, tiou)
    counts = evidence.counts(np.ones(len(evidence.score), bool))
    return rate_table(counts, evidence.labels, draw_videos(counts.shape[2], resamples, seed))


def draw_videos(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """(R, n): how often each of ``n`` videos is in each of ``resamples`` draws with replacement."""
    drawn: NDArray[np.int64] = np.random.default_rng(seed).multinomial(
        n, np.full(n, 1 / n), size=resamples
    )
    return drawn


def rate_table(
    counts: NDArray[np.int64], labels: Sequence[str], draws: NDArray[np.int64]
) -> pd.DataFrame:
    """The table of ``rates``, from how many are shown, right and annotated by class and video.

    ``counts`` (3, K, V); ``draws`` (R, V): of ``draw_videos``. A row for all classes, then
    one for each of ``labels``.
    """
    counts = np.concatenate((counts.sum(axis=1, keepdims=True), counts), axis=1)
    totals, drawn = counts.sum(axis=2), counts @ draws.T
    columns = {"label": [None, *labels]} | dict(
        zip(("shown", "right", "actions"), totals, strict=True)
    )
    for name, part, of in (("precision", 1, 0), ("recall", 1, 2), ("ratio", 0, 2)):
        low, high = _bounds(_share(drawn[part], drawn[of]))
        share = _share(totals[part], totals[of])
        if name != "ratio":  # which is no share of something
            low, high = np.where(low == high, wilson(share, totals[of]), (low, high))
        columns |= {name: share, f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


def wilson(share: Floats, n: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The 95 % interval of shares (K,) of ``n`` (K,) independent examples; NaN of none.

    Three right ones of three are [0.44, 1]. Wilson, "Probable inference, the law of succession, and
    statistical inference", 1927; Brown, Cai and DasGupta, "Interval estimation for a binomial
    proportion", 2001, recommend it for few examples. Draws of videos say nothing where all or none
    are right, or all examples are in one video: each draw then gives the same.
    """
    known = np.maximum(n, 1)
    middle = (share + Z**2 / (2 * known)) / (1 + Z**2 / known)
    spread = share * (1 - share) / known + (Z / (2 * known)) ** 2
    half = Z * np.sqrt(spread) / (1 + Z**2 / known)
    return (middle - half).round(9).clip(0, 1), (middle + half).round(9).clip(0, 1)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    share: Floats = np.divide(part, whole, where=whole > 0, out=np.full(part.shape, np.nan))
    return share


def _bounds(drawn: Floats) -> tuple[Floats, Floats]:
    """The 95 % interval of each row (K, R), without the draws that have no value."""
    low, high = np.full(len(drawn), np.nan), np.full(len(drawn), np.nan)
    some = np.isfinite(drawn).any(axis=1)
    if some.any():
        low[some], high[some] = np.nanpercentile(drawn[some], [2.5, 97.5], axis=1)
    return low, high
