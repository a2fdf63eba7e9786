"""Score thresholds by purpose, for those who need decisions instead of a ranking."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.config.predict import BEST_F1, Wish
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.metrics.evidence import Evidence
from tad_blockdrop.metrics.matching import Floats, Indices

TIOU = 0.5
"""The overlap from which on a detection is called right where one number has to be given."""

DEFAULT_SCORE = 0.2
"""The threshold of a class without an operating point. Focal losses keep scores low: a detection
that is fairly certain often scores about 0.5, and background below 0.1."""

ENOUGH = 100
"""Actions that a class needs for a threshold of its own; those with fewer share one. In five of six
trials with three models, whose classes had 4 to 52 actions, a common one gave the better F1 in
other videos (docs/results.md)."""


class NoPointError(BlockDropError):
    """A checkpoint states no operating point for what is asked."""


def thresholds(checkpoint: Checkpoint, wish: Wish = BEST_F1) -> dict[str, float]:
    """The score from which on detections are shown, for each class of the checkpoint.

    Raises NoPointError if more is asked of a checkpoint from before there were purposes than the
    best F1, which it states.
    """
    if checkpoint.decisions is not None:
        try:
            stated: Mapping[str, float | None] = checkpoint.decisions.point(wish).thresholds
        except KeyError:
            raise NoPointError(
                f"the checkpoint states no operating point for a {wish.purpose} of {wish.asked}; "
                "ask for less"
            ) from None
    elif wish.purpose == "f1":
        stated = checkpoint.metrics.get("operating_point") or {}
    else:
        raise NoPointError(
            "the checkpoint states no operating points by purpose, as it is from before there were "
            "any or was imported: set predict.min_score, or train it on (kedro run --pipeline "
            "learn), which chooses them"
        )
    known = {label: stated.get(label) for label in checkpoint.classes}
    return {label: DEFAULT_SCORE if low is None else float(low) for label, low in known.items()}


def shown(detections: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """The detections with at least the score that ``limits`` asks of their class."""
    low = detections["label"].map(limits).fillna(DEFAULT_SCORE)
    return detections[detections["score"] >= low.astype(float)]


class Curve(NamedTuple):
    """How many are shown and right from each ``score`` on, the highest first, of ``actions``."""

    score: Floats
    shown: Indices
    right: Indices
    actions: int


def curve(score: Floats, right: NDArray[np.bool_], actions: int) -> Curve:
    """Of detections in descending order of score; ``right``: which of them are."""
    # a threshold keeps all detections of its score, so only the last of equals can be one
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)[: len(score)])
    return Curve(score[last], last + 1, np.cumsum(right, dtype=np.int64)[last], actions)


class Choice(NamedTuple):
    """A threshold; ``best``: what there is of what was asked, if that cannot be reached."""

    threshold: float
    best: float | None = None


def pick(of: Curve, wish: Wish) -> Choice | None:
    """The threshold for a purpose; None where nothing right is found.

    f1: the best one. precision: of those that have it, the one with the highest recall. recall: the
    highest that has it. counts: what is shown comes nearest to the number of actions. Of equally
    good thresholds the highest.
    """
    score, shown_, right, actions = of
    if not actions or not right[-1:].any():
        return None
    precision, recall = right / shown_, right / actions
    unmet = None
    if wish.purpose == "f1":
        place = (right / (shown_ + actions)).argmax()
    elif wish.purpose == "counts":
        place = abs(shown_ - actions).argmin()
    else:
        rate = precision if wish.purpose == "precision" else recall
        unmet = None if rate.max() >= (wish.asked or 0) else float(rate.max())
        enough = np.flatnonzero(rate >= ((wish.asked or 0) if unmet is None else rate.max()))
        place = enough[0]
        if wish.purpose == "precision":
            place = np.searchsorted(right, right[enough[-1]])
    return Choice(float(score[place]), unmet)


class Thresholds(NamedTuple):
    """For one purpose: ``chosen`` (K,), NaN without; ``common`` (K,) classes that share theirs.

    ``best`` (K,): what there is of what was asked, NaN where that is reached.
    """

    chosen: Floats
    common: list[bool]
    best: Floats


def choose(evidence: Evidence, wishes: list[Wish]) -> list[Thresholds]:
    """Thresholds of each class with ``ENOUGH`` actions, and one for all others, for each wish.

    The common one is chosen on the detections of all classes. A class of which nothing is found
    takes it as well.
    """
    actions = evidence.actions.sum(axis=1)
    everything = curve(evidence.score, evidence.right, int(actions.sum()))
    own = {}
    for k in np.flatnonzero(actions >= ENOUGH).tolist():
        mine = evidence.label == k
        own[k] = curve(evidence.score[mine], evidence.right[mine], int(actions[k]))
    result = []
    for wish in wishes:
        shared = pick(everything, wish)
        single = [pick(own[k], wish) if k in own else None for k in range(len(actions))]
        choices = [shared if each is None else each for each in single]
        chosen = [np.nan if each is None else each.threshold for each in choices]
        best = [np.nan if each is None or each.best is None else each.best for each in choices]
        common = [each is None for each in single]
        result.append(Thresholds(np.array(chosen), common, np.array(best)))
    return result
