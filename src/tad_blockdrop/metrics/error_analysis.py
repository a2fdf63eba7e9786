"""What kind of error every detection and every missed action is, and what mending them would give.

After DETAD (Alwassel et al., "Diagnosing Error in Temporal Action Detectors", ECCV 2018). Unlike
there, a detection is mended where it can be, as in TIDE (Bolya et al., ECCV 2020), and only
otherwise taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.metrics.average_precision import area
from tad_blockdrop.metrics.matching import Floats, Indices, ground_truth, match, overlaps

NEAR = 0.1
"""The tIoU below which a detection has nothing to do with an action."""


class Kind(StrEnum):
    """What a detection is, or an action that none found. Of several that apply, the first."""

    RIGHT = "right"
    DOUBLE = "double detection"
    LABEL = "wrong label"
    LOCALISATION = "localisation"
    CONFUSION = "confusion"
    BACKGROUND = "background"
    MISSED = "missed"


ERRORS = tuple(kind for kind in Kind if kind is not Kind.RIGHT)


@dataclass(frozen=True, eq=False)
class Analysis:
    """Detections and ground truth at one tIoU threshold.

    ``kind`` (n,): that of every detection, in the order of the table. ``instance`` (n,): the row
    of ``truth`` that it is right or wrong about, −1 for background. ``truth``: the instances that
    count (``matching.ground_truth``); ``found`` (m,): which of them a detection takes.
    """

    kind: NDArray[np.str_]
    instance: Indices
    truth: pd.DataFrame
    found: NDArray[np.bool_]


def analyse(
    detections: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str], tiou: float
) -> Analysis:
    """What every detection and instance is at ``tiou``.

    Right: takes an instance (``matching.match``). Double: of an instance that a stronger one has
    taken. Wrong label: overlaps one of another class by ``tiou``. Localisation: one of its class
    by less, but at least ``NEAR``. Confusion: one of another class by so much. Background: none.
    Of several instances it is held against the one with the highest tIoU. Tables and errors as in
    ``matching.match``; detections outside ``videos`` are background.
    """
    matches = match(detections, instances, videos, [tiou])
    truth = ground_truth(instances, videos)
    taken = np.full(len(detections), -1)
    taken[matches.row] = matches.instance[0]
    (own, own_tiou), (other, other_tiou) = _nearest(detections, truth, min(NEAR, tiou))
    kinds = [
        (Kind.RIGHT, taken >= 0, taken),
        (Kind.DOUBLE, own_tiou >= tiou, own),
        (Kind.LABEL, other_tiou >= tiou, other),
        (Kind.LOCALISATION, own_tiou >= NEAR, own),
        (Kind.CONFUSION, other_tiou >= NEAR, other),
    ]
    names, conditions, about = zip(*kinds, strict=True)
    kind = np.select(conditions, [name.value for name in names], Kind.BACKGROUND.value)
    found = np.zeros(len(truth), bool)
    found[taken[taken >= 0]] = True
    return Analysis(kind, np.select(conditions, about, -1), truth, found)


def _nearest(
    detections: pd.DataFrame, truth: pd.DataFrame, least: float
) -> list[tuple[Indices, Floats]]:
    """The nearest instance of each detection's own class, then of all others, and their tIoU.

    −1 and 0 where there is none with a tIoU of at least ``least``.
    """
    videos = pd.Index(truth["video_id"].unique())
    detection, instance, tiou = overlaps(
        detections[["start", "end"]].to_numpy(np.float64),
        videos.get_indexer(pd.Index(detections["video_id"])),
        truth[["start", "end"]].to_numpy(np.float64),
        videos.get_indexer(pd.Index(truth["video_id"])),
        least,
    )
    labels = truth["label"].to_numpy(object)
    same = detections["label"].to_numpy(object)[detection] == labels[instance]
    result = []
    for chosen in (same, ~same):
        which, first = np.unique(detection[chosen], return_index=True)
        nearest, overlap = np.full(len(detections), -1), np.zeros(len(detections))
        nearest[which] = instance[chosen][first]
        overlap[which] = tiou[chosen][first]
        result.append((nearest, overlap))
    return result


def mending(
    detections: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str], tious: Sequence[float]
) -> pd.DataFrame:
    """The average mAP that mending all errors of one kind would add: (kind, gain), each of ERRORS.

    Wrong labels, wrong places and both are put right, if no detection takes the instance, for the
    strongest of those it concerns; all others of the kind, double detections and background are
    taken away; missed instances are found ahead of all detections. No gain is negative, and the
    gains do not add up. Tables and errors as in ``matching.match``.
    """
    gains = [_gains(detections, analyse(detections, instances, videos, tiou)) for tiou in tious]
    return pd.DataFrame({"kind": [kind.value for kind in ERRORS], "gain": np.mean(gains, axis=0)})


def _gains(detections: pd.DataFrame, analysis: Analysis) -> list[float]:
    """What mending each of ERRORS adds to the mAP at the threshold of an analysis."""
    truth, names = pd.factorize(analysis.truth["label"])
    label = names.get_indexer(pd.Index(detections["label"]))
    score = detections["score"].to_numpy(np.float64)
    right = analysis.kind == Kind.RIGHT
    averages = []
    for kind in ERRORS:
        if kind is Kind.MISSED:
            missed = truth[~analysis.found]
            first, hits = np.full(len(missed), np.inf), np.ones(len(missed), bool)
            table = np.append(label, missed), np.append(score, first), np.append(right, hits)
        else:
            mended = _put_right(analysis, kind, score)
            own = np.where(mended, truth[analysis.instance], label)
            own[(analysis.kind == kind) & ~mended] = -1
            table = own, score, right | mended
        averages.append(_average(*table, truth))
    now = _average(label, score, right, truth)
    return [average - now for average in averages]


def _put_right(analysis: Analysis, kind: Kind, scores: Floats) -> NDArray[np.bool_]:
    """(n,): the detections of a kind of error that would take their instances if mended."""
    mended = np.zeros(len(scores), bool)
    wrong = np.flatnonzero((analysis.kind == kind) & (analysis.instance >= 0))
    wrong = wrong[~analysis.found[analysis.instance[wrong]]]
    wrong = wrong[np.argsort(-scores[wrong], kind="stable")]
    mended[wrong[np.unique(analysis.instance[wrong], return_index=True)[1]]] = True
    return mended


def _average(label: Indices, score: Floats, hit: NDArray[np.bool_], truth: Indices) -> float:
    """Mean average precision of the detections that have a class.

    ``label`` (n,): −1 for no class; ``truth`` (m,): the classes of the instances.
    """
    order = np.lexsort((-score, label))
    counts = np.bincount(truth)
    bounds = np.searchsorted(label[order], np.arange(len(counts)))
    parts = np.split(hit[order], bounds)[1:]
    return float(np.mean([area(own, int(n)) for own, n in zip(parts, counts, strict=True)]))
