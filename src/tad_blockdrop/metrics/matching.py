"""Which detections are right: detections matched to ground truth, class by class.

The tables are DataFrames: detections with ``video_id, start, end, label, score`` and instances
with ``video_id, start, end, label``; start and end in seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DUPLICATE_TOLERANCE = 1e-3
"""Seconds: instances of one class whose starts and ends differ by no more are one."""

_PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections of the evaluated classes, by class and descending score, with what they hit.

    ``labels``: the K classes of the ground truth, sorted. ``videos``: the V videos evaluated.
    ``label``, ``video``, ``score`` (n,): the detections, as indices into those; ``video`` is −1
    outside. ``row`` (n,): their rows in the table. ``truth`` (K, V): how many instances.
    ``instance`` (tiou, n): the row of ``ground_truth`` that the detection takes at that threshold,
    −1 where it takes none.
    """

    labels: tuple[str, ...]
    videos: tuple[str, ...]
    tious: tuple[float, ...]
    label: Indices
    video: Indices
    score: Floats
    row: Indices
    truth: Indices
    instance: Indices

    @cached_property
    def hit(self) -> NDArray[np.bool_]:
        """(tiou, n): the detection takes an instance at that threshold."""
        return self.instance >= 0

    def by_class(self) -> Iterator[tuple[str, slice, int]]:
        """Each class, where its detections are, and how many instances it has."""
        bounds = np.searchsorted(self.label, np.arange(len(self.labels) + 1))
        for label, ends, truth in zip(self.labels, pairwise(bounds), self.truth, strict=True):
            yield label, slice(*ends), int(truth.sum())


def match(
    detections: pd.DataFrame, instances: pd.DataFrame, videos: Sequence[str], tious: Sequence[float]
) -> Matches:
    """Match detections to the instances of ``videos``, as the ActivityNet toolkit does.

    Within a class, detections in descending order of score (ties in the order of the table) each
    take the not yet taken instance of their own video with the highest tIoU, if that reaches the
    threshold. Detections outside ``videos`` hit nothing but count; classes without an instance in
    ``videos`` are left out. Instances without length are dropped, duplicates count once.
    Raises ValueError for tables that miss columns or hold missing or infinite numbers, and if
    there is no ground truth to evaluate on.
    """
    truth = ground_truth(instances, videos)
    check_table(detections, "detections", (*_COLUMNS, "score"))
    labels = pd.Index(sorted(truth["label"].unique()))
    listed = pd.Index(dict.fromkeys(videos))
    label = labels.get_indexer(pd.Index(detections["label"]))
    score = detections["score"].to_numpy(np.float64)
    order = np.lexsort((-score, label))
    order = order[label[order] >= 0]
    label, score = label[order].astype(np.int64), score[order]
    video = listed.get_indexer(pd.Index(detections["video_id"]))[order].astype(np.int64)
    true_label = labels.get_indexer(pd.Index(truth["label"])).astype(np.int64)
    true_video = listed.get_indexer(pd.Index(truth["video_id"]))
    counts = np.zeros((len(labels), len(listed)), np.int64)
    np.add.at(counts, (true_label, true_video), 1)
    pairs = overlaps(
        detections[["start", "end"]].to_numpy(np.float64)[order],
        np.where(video < 0, -1, label * len(listed) + video),
        truth[["start", "end"]].to_numpy(np.float64),
        true_label * len(listed) + true_video,
        min(tious),
    )
    taken = np.stack([_take(*pairs, tiou, len(score), len(truth)) for tiou in tious])
    names = tuple(labels), tuple(listed), tuple(tious)
    return Matches(*names, label, video, score, order, counts, taken)


_COLUMNS = ("video_id", "start", "end", "label")


def check_table(table: pd.DataFrame, what: str, columns: Sequence[str]) -> None:
    """Raise ValueError unless ``table`` has the columns, finite numbers and start ≤ end."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"the {what} table has no column {', '.join(missing)}; it needs "
            f"{', '.join(columns)} and has {', '.join(map(str, table.columns)) or 'none'}"
        )
    numbers = [column for column in columns if column in ("start", "end", "score")]
    bad = ~np.isfinite(table[numbers].to_numpy(np.float64)).all(axis=1)
    bad |= table[[c for c in columns if c not in numbers]].isna().to_numpy().any(axis=1)
    if bad.any():
        raise ValueError(
            f"the {what} table has {bad.sum()} rows with a missing or infinite value, the first "
            f"is {table.iloc[int(bad.argmax())].to_dict()}; correct or remove them"
        )
    backward = (table["end"] < table["start"]).to_numpy()
    if backward.any():
        raise ValueError(
            f"the {what} table has {backward.sum()} rows that end before they start, the first "
            f"is {table.iloc[int(backward.argmax())].to_dict()}; correct or remove them"
        )


def ground_truth(instances: pd.DataFrame, videos: Sequence[str]) -> pd.DataFrame:
    """The instances of ``videos`` that count: with a length, each once.

    Raises ValueError if none is left, naming what the table holds instead.
    """
    check_table(instances, "instances", _COLUMNS)
    chosen = instances[instances["video_id"].isin(list(videos))]
    chosen = chosen[chosen["end"] > chosen["start"]]
    if chosen.empty:
        found = f"{len(instances)} instances in {instances['video_id'].nunique()} videos"
        for column in ("subset", "split"):
            if column in instances.columns:
                found += f", of {column} {', '.join(sorted(map(str, instances[column].unique())))}"
        raise ValueError(
            f"no ground truth to evaluate on: none of the {len(videos)} videos of the requested "
            f"subset has an annotated action; the annotations hold {found}. Check the name of "
            "the subset and the video ids"
        )
    return chosen[~_duplicated(chosen)]


def _duplicated(instances: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows that repeat an earlier row of their class and video, within the tolerance."""
    group = instances.groupby(["video_id", "label"], sort=False).ngroup().to_numpy()
    start, end = instances["start"].to_numpy(np.float64), instances["end"].to_numpy(np.float64)
    order = np.lexsort((start, group))
    same = (np.diff(group[order]) == 0) & (np.diff(start[order]) <= DUPLICATE_TOLERANCE)
    runs = np.split(order, np.flatnonzero(~same) + 1)
    result = np.zeros(len(instances), bool)
    for run in (np.sort(run) for run in runs if len(run) > 1):
        for place, row in enumerate(run[1:], start=1):
            earlier = run[:place][~result[run[:place]]]
            gap = np.maximum(abs(start[earlier] - start[row]), abs(end[earlier] - end[row]))
            result[row] = (gap <= DUPLICATE_TOLERANCE).any()
    return result


def overlaps(
    segments: Floats, groups: Indices, true_segments: Floats, true_groups: Indices, least: float
) -> tuple[Indices, Indices, Floats]:
    """(detection, instance, tIoU) of one group with tIoU ≥ ``least``.

    Sorted by detection, then descending tIoU, then the order of the instances.
    """
    by_group = np.argsort(true_groups, kind="stable")
    low = np.searchsorted(true_groups[by_group], groups, "left")
    count = np.searchsorted(true_groups[by_group], groups, "right") - low
    total = np.cumsum(count)
    pieces: list[tuple[Indices, Indices, Floats]] = []
    begin, done = 0, 0
    while begin < len(groups):
        end = max(int(np.searchsorted(total, done + _PAIRS_AT_ONCE, "right")), begin + 1)
        some = count[begin:end]
        detection = np.repeat(np.arange(begin, end), some)
        inner = np.arange(len(detection)) - np.repeat(np.cumsum(some) - some, some)
        instance = by_group[low[detection] + inner]
        a, b = segments[detection], true_segments[instance]
        inter = np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0])
        tiou = inter / (a[:, 1] - a[:, 0] + b[:, 1] - b[:, 0] - inter)
        good = tiou >= least
        pieces.append((detection[good], instance[good], tiou[good]))
        begin, done = end, int(total[end - 1])
    if not pieces:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    detection, instance, tiou = (np.concatenate(part) for part in zip(*pieces, strict=True))
    order = np.lexsort((instance, -tiou, detection))
    return detection[order], instance[order], tiou[order]


def _take(
    detection: Indices, instance: Indices, tiou: Floats, least: float, n: int, n_true: int
) -> Indices:
    """(n,): which instance each of ``n`` detections, best first, takes; −1 for none.

    Taking turns in order of score is the stable matching in which instances prefer the higher
    score, so it can be reached by proposals: every detection at once asks for its next best
    instance, each instance keeps the first-ranked asker, and who is refused or replaced asks on.
    """
    good = tiou >= least
    detection, instance = detection[good], instance[good]
    asks = np.searchsorted(detection, np.arange(n + 1))
    pointer, last = asks[:-1].copy(), asks[1:]
    holder = np.full(n_true, n)
    active = np.flatnonzero(pointer < last)
    while len(active):
        before = holder.copy()
        np.minimum.at(holder, instance[pointer[active]], active)
        refused = active[holder[instance[pointer[active]]] != active]
        replaced = before[(before != holder) & (before < n)]
        active = np.concatenate((refused, replaced))
        pointer[active] += 1
        active = active[pointer[active] < last[active]]
    taken = np.full(n, -1)
    held = np.flatnonzero(holder < n)
    taken[holder[held]] = held
    return taken
