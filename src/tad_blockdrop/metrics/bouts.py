"""Bouts, counts and time by class: what behaviour science reports, and how well they agree.

A bout is a stretch of time in which a class is on without a gap; segments of one class that touch
or overlap are one bout. Tables of segments have video_id, start, end (s) and label.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tad_blockdrop.metrics.matching import ground_truth

_KEYS = ["video_id", "label"]
_SUMS = ["bouts", "true_bouts", "seconds", "true_seconds", "agreed"]


def bouts(segments: pd.DataFrame) -> pd.DataFrame:
    """The bouts (video_id, label, start, end) of segments, in order of time in each video."""
    rows = segments[segments["end"] > segments["start"]].sort_values([*_KEYS, "start"])
    reached = rows.groupby(_KEYS, sort=False)["end"].cummax()
    before = rows.assign(end=reached).groupby(_KEYS, sort=False)["end"].shift()
    number = (~(rows["start"] <= before)).cumsum().to_numpy()
    how = {"video_id": "first", "label": "first", "start": "min", "end": "max"}
    merged = rows.groupby(number).agg(how)
    return merged.sort_values(["video_id", "start", "end", "label"]).reset_index(drop=True)


def bout_table(shown: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str]) -> pd.DataFrame:
    """Bouts and seconds of each class in each of ``videos``, shown and annotated.

    Columns: video_id, label, bouts, true_bouts, seconds, true_seconds, and agreed: the seconds that
    are both. Classes that are neither shown nor annotated in a video have no row. Raises ValueError
    as ``matching.ground_truth`` does.
    """
    truth = bouts(ground_truth(instances, videos))
    found = bouts(shown[shown["video_id"].isin(list(videos))])
    tables = (found, truth, bouts(pd.concat([found, truth])))
    lengths = [t.assign(length=t["end"] - t["start"]).groupby(_KEYS)["length"] for t in tables]
    columns = {
        "bouts": lengths[0].size(),
        "true_bouts": lengths[1].size(),
        "seconds": lengths[0].sum(),
        "true_seconds": lengths[1].sum(),
        "union": lengths[2].sum(),
    }
    table = pd.DataFrame(columns).fillna(0).astype({"bouts": int, "true_bouts": int})
    table["agreed"] = (table["seconds"] + table["true_seconds"] - table.pop("union")).clip(lower=0)
    return table.reset_index()


def time_table(table: pd.DataFrame) -> pd.DataFrame:
    """The sums of a ``bout_table`` by class, and how well the time agrees.

    The first row is over all classes and has no label. Columns: label, bouts, true_bouts, seconds,
    true_seconds, agreed, frame_f1: the F1 of a class at every moment, which is that of its frames
    where these are dense.
    """
    sums = table.groupby("label", as_index=False)[_SUMS].sum()
    every = pd.DataFrame([{"label": None} | sums[_SUMS].sum().to_dict()])
    result = pd.concat([every.astype({"label": object}), sums], ignore_index=True)
    result = result.astype({"bouts": int, "true_bouts": int})
    return result.assign(
        frame_f1=2 * result["agreed"] / (result["seconds"] + result["true_seconds"])
    )


def edit_score(shown: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str]) -> float:
    """How alike the orders of bouts are, 0 to 1: the mean over ``videos``.

    The segmental edit score (Lea et al., CVPR 2017): 1 minus the edits that make the classes of the
    bouts shown those of the bouts annotated, in order of their starts, over the longer of the two.
    A video without bouts on both sides has 1. Raises ValueError as ``matching.ground_truth`` does.
    """
    orders = [
        {video: own["label"].tolist() for video, own in bouts(table).groupby("video_id")}
        for table in (shown, ground_truth(instances, videos))
    ]
    scores = []
    for video in videos:
        first, second = (order.get(video, []) for order in orders)
        longer = max(len(first), len(second), 1)
        scores.append(1 - edit_distance(first, second) / longer)
    return float(np.mean(scores))


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements between two sequences (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            cheapest = min(diagonal + (one != other), row[j] + 1, row[j - 1] + 1)
            diagonal, row[j] = row[j], cheapest
    return row[-1]
