"""From detections in videos set apart to what a checkpoint states of its scores.

No video is rated with thresholds that it helped to choose: the videos are dealt into folds, each is
rated with the thresholds of all other folds, and what comes of that is what is to be expected. The
thresholds that are stated are then chosen on all of them.
"""

from math import isnan
from typing import Any, Literal

import numpy as np
import pandas as pd

from tad_blockdrop.config.predict import BEST_F1, Wish
from tad_blockdrop.detector.decisions import Decisions, Expected, Point, Rate
from tad_blockdrop.metrics.calibration import fit_calibration
from tad_blockdrop.metrics.evidence import Evidence
from tad_blockdrop.metrics.matching import Floats
from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE, TIOU, Thresholds, choose
from tad_blockdrop.metrics.rates import draw_videos, rate_table

FOLDS = 5
STEPS = [*(step / 20 for step in range(1, 20)), 0.99]
WISHES = [
    BEST_F1,
    Wish("counts"),
    *(Wish("precision", step) for step in STEPS),
    *(Wish("recall", step) for step in STEPS),
]


def decide(
    evidence: Evidence, split: Literal["holdout", "train"], resamples: int, seed: int
) -> Decisions:
    """Operating points for all ``WISHES``, and the calibration of scores.

    ``evidence``: from the videos of ``split``; ``resamples``: draws of videos, for the intervals.
    With one video there is nothing to expect.
    """
    n_videos = evidence.actions.shape[1]
    expected = _expected(evidence, resamples, seed) if n_videos > 1 else [{} for _ in WISHES]
    points = [
        _point(evidence.labels, wish, chosen, rates)
        for wish, chosen, rates in zip(WISHES, choose(evidence, WISHES), expected, strict=True)
    ]
    return Decisions(
        split=split,
        videos=n_videos,
        actions=int(evidence.actions.sum()),
        tiou=TIOU,
        points=points,
        calibration=fit_calibration(evidence),
    )


def cross_fitted(evidence: Evidence, wishes: list[Wish]) -> Floats:
    """(W, K, V): the threshold of each class in each video, from videos of other folds."""
    fold = np.arange(evidence.actions.shape[1]) % FOLDS
    limits = np.empty((len(wishes), *evidence.actions.shape))
    for each in np.unique(fold):
        own = fold == each
        chosen = np.stack([found.chosen for found in choose(evidence.without(own), wishes)])
        limits[:, :, own] = chosen[:, :, None]
    return np.where(np.isnan(limits), DEFAULT_SCORE, limits)


def _expected(evidence: Evidence, resamples: int, seed: int) -> list[dict[str | None, Expected]]:
    """Of each wish, what its thresholds give by class, None for all classes together."""
    draws = draw_videos(evidence.actions.shape[1], resamples, seed)
    results = []
    for limits in cross_fitted(evidence, WISHES):
        kept = evidence.score >= limits[evidence.label, evidence.video]
        table = rate_table(evidence.counts(kept), evidence.labels, draws)
        rows = table[(table["shown"] > 0) | (table["actions"] > 0)].to_dict("records")
        results.append({_class_of(row): _stated(row) for row in rows})
    return results


def _class_of(row: dict[Any, Any]) -> str | None:
    return None if pd.isna(row["label"]) else str(row["label"])


def _stated(row: dict[Any, Any]) -> Expected:
    rates = {
        name: Rate(*(_known(row[f"{name}{end}"]) for end in ("", "_low", "_high")))
        for name in ("precision", "recall", "ratio")
    }
    return Expected(**rates, shown=int(row["shown"]), actions=int(row["actions"]))


def _known(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)


def _point(
    labels: tuple[str, ...], wish: Wish, found: Thresholds, rates: dict[str | None, Expected]
) -> Point:
    chosen = dict(zip(labels, found.chosen.tolist(), strict=True))
    best = dict(zip(labels, found.best.tolist(), strict=True))
    return Point(
        purpose=wish.purpose,
        asked=wish.asked,
        thresholds={label: value for label, value in chosen.items() if not isnan(value)},
        common=[label for label, shared in zip(labels, found.common, strict=True) if shared],
        unmet={label: round(value, 4) for label, value in best.items() if not isnan(value)},
        expected=rates.get(None),
        by_class={label: rate for label, rate in rates.items() if label is not None},
    )
