"""From a score to the probability that a detection is right, and how true such numbers are.

The map only rises, so that the order of detections, and with it average precision, stays. With many
examples it is isotonic (Zadrozny and Elkan, 2002), with fewer a logistic one of the score's logit
(Platt, 1999), and with too few there is none.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.detector.decisions import Calibration
from tad_blockdrop.metrics.evidence import Evidence
from tad_blockdrop.metrics.matching import Floats

VISIBLE = 0.05
"""Scores that count here: below are the thousands that no one looks at, nearly all wrong."""

MANY = 200  # right ones, and wrong ones, from which on the map is isotonic
FEW = 10  # below, there is none
BINS = 10
KNOTS = 65  # of straight lines in the place of a logistic curve, between the scores seen


def fit_calibration(evidence: Evidence) -> Calibration | None:
    """The map of scores in videos that choose, on the ``VISIBLE`` detections of all classes."""
    visible = evidence.score >= VISIBLE
    score, right = evidence.score[visible][::-1], evidence.right[visible][::-1]
    least = min(right.sum(), (~right).sum())
    if least < FEW:
        return None
    if least < MANY:
        slope, offset = fit_logistic(_logit(score), right)
        low, high = _logit(score[[0, -1]])
        place = np.unique(np.linspace(low, high, KNOTS))
        return _calibration("logistic", _sigmoid(place), _sigmoid(slope * place + offset))
    # One wrong above all and one right below all: no probability becomes 0 or 1.
    ends = [np.array([end]) for end in (score[0], score[-1])]
    score = np.concatenate((ends[0], score, ends[1]))
    values = np.concatenate(([1.0], right, [0.0]))
    knots, first = np.unique(score, return_index=True)
    weights = np.diff(np.append(first, len(score))).astype(np.float64)
    means = np.add.reduceat(values, first) / weights
    fitted = isotonic(means, weights)
    # of a flat stretch, its two ends say it all
    inner = np.zeros(len(fitted), bool)
    inner[1:-1] = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    return _calibration("isotonic", knots[~inner], fitted[~inner])


def isotonic(values: Floats, weights: Floats) -> Floats:
    """The rising sequence nearest to ``values`` in weighted squares, by pooling neighbours."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (first, w, n), (second, v, m) = blocks[-2:]
            blocks[-2:] = [((first * w + second * v) / (w + v), w + v, n + m)]
    means, _, lengths = zip(*blocks, strict=True)
    return np.repeat(np.array(means), lengths)


def fit_logistic(x: Floats, right: NDArray[np.bool_], steps: int = 50) -> tuple[float, float]:
    """(slope, offset) of the likeliest logistic curve that does not fall, by Newton's method.

    With Platt's targets, (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that it exists for any data.
    """
    n = int(right.sum())
    target = np.where(right, (n + 1) / (n + 2), 1 / (len(right) - n + 2))
    centre, spread = x.mean(), x.std() or 1.0  # steps are of one size, however close values lie
    design = np.stack(((x - centre) / spread, np.ones(len(x))), axis=1)
    found = np.zeros(2)
    for _ in range(steps):
        p = _sigmoid(design @ found)
        gradient = design.T @ (p - target)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        change = np.linalg.solve(curvature, gradient)
        found -= np.clip(change, -2, 2)  # far from the top, full steps could overshoot
        if abs(change).max() < 1e-9:
            break
    if found[0] < 0:
        mean = target.mean()
        return 0.0, float(np.log(mean / (1 - mean)))
    slope = found[0] / spread
    return float(slope), float(found[1] - slope * centre)


def probabilities(calibration: Calibration, scores: Floats) -> Floats:
    """The probability that detections with these scores are right."""
    return np.interp(scores, [0.0, *calibration.scores], [0.0, *calibration.probabilities])


def with_probability(detections: pd.DataFrame, calibration: Calibration | None) -> pd.DataFrame:
    """The detections with a column ``probability``; as they are without a calibration."""
    if calibration is None:
        return detections
    scores = detections["score"].to_numpy(np.float64)
    return detections.assign(probability=probabilities(calibration, scores))


def reliability(stated: Floats, right: NDArray[np.bool_]) -> pd.DataFrame:
    """What is stated (0 to 1) beside what comes true, in at most ``BINS`` groups of equal size.

    Columns: count, stated (mean), right (share); groups go from low to high.
    """
    order = np.argsort(stated, kind="stable")
    groups = [part for part in np.array_split(order, BINS) if len(part)]
    rows = [(len(part), stated[part].mean(), right[part].mean()) for part in groups]
    return pd.DataFrame(rows, columns=["count", "stated", "right"])


def reliability_table(evidence: Evidence, calibration: Calibration | None) -> pd.DataFrame:
    """``reliability`` of the ``VISIBLE`` detections: as scores state it, and as probabilities do.

    Column ``of``: "score" or, with a calibration, "probability".
    """
    visible = evidence.score >= VISIBLE
    score, right = evidence.score[visible], evidence.right[visible]
    tables = [reliability(score, right).assign(of="score")]
    if calibration is not None:
        stated = probabilities(calibration, score)
        tables.append(reliability(stated, right).assign(of="probability"))
    return pd.concat(tables, ignore_index=True)


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error of a table of ``reliability``: mean |stated − right|."""
    if table.empty:
        return float("nan")
    return float(np.average(abs(table["stated"] - table["right"]), weights=table["count"]))


def _calibration(method: str, knots: Floats, values: Floats) -> Calibration:
    stated = {"method": method, "scores": knots.tolist(), "probabilities": values.tolist()}
    return Calibration.model_validate(stated)


def _logit(score: Floats) -> Floats:
    clipped: Floats = np.clip(score, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))
