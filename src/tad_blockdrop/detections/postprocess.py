"""From scored points to detections: filtering, soft-NMS, segment voting, classifier fusion.

Arrays in, arrays out: nothing here knows seconds from grid steps, file names or class names.
Soft-NMS is Bodla et al., arXiv 1704.04503; segment voting follows ActionFormer, arXiv 2202.07925.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.config import PostprocessConfig

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]

VOTES = 1 << 23  # pairs of segments that a vote looks at together: each takes some 40 bytes


@dataclass(frozen=True, eq=False)
class Proposals:
    """n scored segments of any number of videos.

    ``segments`` (n, 2) start and end in one unit; ``scores`` (n,); ``labels`` (n,) class index;
    ``videos`` (n,) index of the video in the caller's list.
    """

    segments: Floats
    scores: Floats
    labels: Indices
    videos: Indices

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Proposals:
        return Proposals(
            self.segments[index], self.scores[index], self.labels[index], self.videos[index]
        )


def concatenate(parts: Sequence[Proposals]) -> Proposals:
    """All ``parts`` in one, in their order."""
    empty = Proposals(np.empty((0, 2)), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    parts = [part for part in parts if len(part)] or [empty]
    columns = [[getattr(part, field.name) for part in parts] for field in fields(Proposals)]
    return Proposals(*map(np.concatenate, columns))


def window_proposals(
    segments: Floats, scores: Floats, config: PostprocessConfig, video: int = 0
) -> Proposals:
    """The proposals of one window: the ``pre_nms`` best scores above ``min_score``.

    ``segments`` (P, 2) of the P valid points, ``scores`` (P, K) after the sigmoid. Each pair of a
    point and a class is a proposal of its own. The result keeps the order of the points.
    """
    flat = scores.ravel()
    chosen = np.flatnonzero(flat > config.min_score)
    if len(chosen) > config.pre_nms:
        best_first = np.argsort(-flat[chosen], kind="stable")
        chosen = np.sort(chosen[best_first[: config.pre_nms]])
    points, labels = np.divmod(chosen, scores.shape[1])
    return Proposals(segments[points], flat[chosen], labels, np.full(len(chosen), video, np.int64))


def suppress(proposals: Proposals, config: PostprocessConfig) -> Proposals:
    """Class-wise soft-NMS within every video, then voting if configured.

    At most ``max_detections`` per video remain, sorted by video and descending score.
    Voting is for proposals of one class.
    """
    scores = soft_nms(proposals, config.sigma, config.min_score, config.max_detections)
    order = np.lexsort((-scores, proposals.videos))
    order = order[scores[order] > 0]
    first = np.searchsorted(proposals.videos[order], proposals.videos[order])
    order = order[np.arange(len(order)) - first < config.max_detections]
    kept = proposals[order]
    segments = kept.segments
    if config.voting_tiou is not None:
        segments = vote(kept, proposals, config.voting_tiou)
    return Proposals(segments, scores[order], kept.labels, kept.videos)


def soft_nms(
    proposals: Proposals, sigma: float, min_score: float, max_kept: int | None = None
) -> Floats:
    """Scores (n,) after Gaussian soft-NMS per video and class; 0 for the suppressed.

    Again and again the best remaining proposal of a class is kept and every other one of its
    video and class decays, s ← s·exp(−IoU²/σ); those below ``min_score`` are suppressed.
    Proposals that cannot be among the ``max_kept`` best of their video may be left at 0.

    All videos and classes advance together, and on ``σ·log s``, where the decay is a subtraction
    of IoU²: no exponential is computed until the end.
    """
    order = np.lexsort((proposals.labels, proposals.videos))
    videos = proposals.videos[order]
    group = np.cumsum(_changes(videos) | _changes(proposals.labels[order]), dtype=np.int64)
    field = _Field(proposals.segments[order], proposals.scores[order], sigma)
    lowest = np.float32(sigma * np.log(min_score)) if min_score > 0 else np.finfo(np.float32).min
    bar = np.full(len(order), lowest, np.float32)  # a proposal below it is out
    alive = np.flatnonzero(field.logs >= bar)
    while len(alive):
        first = np.flatnonzero(_changes(group[alive]))
        count = np.diff(np.append(first, len(alive)))
        # groups of similar size share a rectangle, so that little of it is padding
        size = np.ceil(np.log2(count))
        for same in np.unique(size):
            field.advance(alive, first[size == same], count[size == same])
        if max_kept is not None and max_kept < len(order):
            _raise_bar(bar, field.kept, videos, max_kept)
        alive = alive[field.logs[alive] >= bar[alive]]
    result = np.zeros(len(order))
    kept = field.kept >= lowest
    result[order[kept]] = np.exp(field.kept[kept] / np.float64(sigma))
    return result


def _changes(values: Indices) -> NDArray[np.bool_]:
    """Where a run of equal values starts."""
    result = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=result[1:])
    return result


def _raise_bar(bar: Floats, kept: Floats, videos: Indices, max_kept: int) -> None:
    """Scores only fall: what is below ``max_kept`` kept ones of its video will stay below."""
    first = np.flatnonzero(_changes(videos))
    for begin, end in zip(first, np.append(first[1:], len(videos)), strict=True):
        if np.count_nonzero(kept[begin:end] > -np.inf) >= max_kept:
            threshold = np.partition(kept[begin:end], -max_kept)[-max_kept]
            np.maximum(bar[begin:end], threshold, out=bar[begin:end])


class _Field:
    """The state of a soft-NMS over n proposals, those of a group side by side.

    ``logs`` is σ·log of the current scores, −inf once kept; ``kept`` is σ·log of the final
    scores, −inf until kept.
    """

    def __init__(self, segments: Floats, scores: Floats, sigma: float) -> None:
        self.shapes = np.empty((len(scores), 3), np.float32)  # start, end, length
        self.shapes[:, :2] = segments
        # the least number keeps 0/0 away where two segments have no length
        smallest = np.finfo(np.float32).tiny
        self.shapes[:, 2] = self.shapes[:, 1] - self.shapes[:, 0] + smallest
        with np.errstate(divide="ignore"):
            self.logs = (np.log(scores) * sigma).astype(np.float32)
        self.kept = np.full(len(scores), -np.inf, np.float32)

    def advance(self, alive: Indices, first: Indices, count: Indices) -> None:
        """Keep some of the best proposals of each group of ``alive``, at most all of them.

        Group g is ``alive[first[g] : first[g] + count[g]]``. Only a share of a group is kept at
        a time, so that what has been kept or suppressed can be left out of the next call.
        """
        columns = np.arange(count.max())
        inside = columns < count[:, None]
        index = alive[np.minimum(first[:, None] + columns, len(alive) - 1)]
        logs = np.where(inside, self.logs[index], np.float32(-np.inf))
        rounds = min(len(columns), max(16, min(len(columns) // 4, 128)))
        best, values = _keep_best(self.shapes[index], logs, rounds)
        self.logs[index[inside]] = logs[inside]
        found = values > -np.inf
        self.kept[index[np.arange(len(index)), best][found]] = values[found]


def _keep_best(shapes: Floats, logs: Floats, rounds: int) -> tuple[Indices, Floats]:
    """``rounds`` times, keep the best column of every row and let the others decay.

    ``shapes`` (rows, columns, 3); ``logs`` (rows, columns) is changed in place. Returns the kept
    columns and their values, (rounds, rows) each; −inf where a row had nothing left.
    """
    start, end, length = (np.ascontiguousarray(shapes[..., part]) for part in range(3))
    overlap, other, zero = np.empty_like(start), np.empty_like(start), np.zeros_like(start)
    rows = np.arange(len(logs))
    best = np.empty((rounds, len(rows)), np.int64)
    values = np.empty((rounds, len(rows)), np.float32)
    for turn in range(rounds):
        column = logs.argmax(axis=1)
        best[turn] = column
        values[turn] = logs[rows, column]
        chosen = shapes[rows, column][:, :, None]
        # numpy is quicker with two full arrays than with one that it has to broadcast
        np.copyto(overlap, chosen[:, 1])
        np.minimum(overlap, end, out=overlap)
        np.copyto(other, chosen[:, 0])
        np.maximum(other, start, out=other)
        np.subtract(overlap, other, out=overlap)
        np.maximum(overlap, zero, out=overlap)
        np.copyto(other, chosen[:, 2])
        np.add(other, length, out=other)
        np.subtract(other, overlap, out=other)
        np.divide(overlap, other, out=overlap)
        np.multiply(overlap, overlap, out=overlap)
        np.subtract(logs, overlap, out=logs)
        logs[rows, column] = -np.inf
    return best, values


def vote(kept: Proposals, proposals: Proposals, tiou: float) -> Floats:
    """Voted segments (m, 2) of the m ``kept`` ones, which must be sorted by video.

    Each becomes the mean, weighted by score, of all ``proposals`` of its video that overlap it
    by at least ``tiou``; ``kept`` are among them, so that the mean is never empty.
    """
    result = np.array(kept.segments, np.float64)
    for video in np.unique(kept.videos):
        mine = np.flatnonzero(kept.videos == video)
        others = proposals[proposals.videos == video]
        for some in np.array_split(mine, ceil(len(mine) * len(others) / VOTES)):
            weights = (overlaps(kept.segments[some], others.segments) >= tiou) * others.scores
            total = weights.sum(axis=1, keepdims=True)
            result[some] = np.divide(
                weights @ others.segments, total, where=total > 0, out=result[some]
            )
    return result


def overlaps(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Temporal IoU (m, n) of segments (m, 2) and (n, 2); 0 where neither has a length."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    inter = np.minimum(a[:, None, 1], b[:, 1]) - np.maximum(a[:, None, 0], b[:, 0])
    inter = np.maximum(inter, 0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0]) - inter
    result = np.zeros(union.shape)
    np.divide(inter, union, where=union > 0, out=result)
    return result


def fuse_classifier(proposals: Proposals, class_scores: Floats, top: int) -> Proposals:
    """Give class-agnostic proposals the ``top`` classes of an external video-level classifier.

    ``class_scores`` (V, K), a row for each index in ``proposals.videos``. Each proposal appears
    once per class, with segment score times class score; sorted by video and descending score.
    """
    classes = np.argsort(-class_scores, axis=1, kind="stable")[:, :top]
    videos = np.repeat(proposals.videos, classes.shape[1])
    labels = classes[proposals.videos].ravel()
    scores = np.repeat(proposals.scores, classes.shape[1]) * class_scores[videos, labels]
    segments = np.repeat(proposals.segments, classes.shape[1], axis=0)
    order = np.lexsort((-scores, videos))
    return Proposals(segments, scores, labels, videos)[order]
