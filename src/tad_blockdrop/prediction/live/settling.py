"""When a detection is final: soft-NMS of a whole video, done while the video goes on.

Soft-NMS and voting act between proposals of one class that overlap, and so never between *groups*:
proposals of a class that are linked by overlaps. A group that ends before all windows to come is
complete, and what soft-NMS makes of it is what it would make of it in the whole video. Windows
propose segments that reach a little out of them, so a ``margin`` is waited for.

A group may go on for ever, but a detection may not wait for ever: at its deadline it is decided
with what is known. What comes afterwards decays by what has been decided as soft-NMS would have it,
but changes nothing that was said. ``early`` counts detections decided so, and ``late`` proposals
that came after a weaker detection that they overlap: only there the result may differ from that of
the whole video.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.config import PostprocessConfig
from tad_blockdrop.detections.postprocess import (
    Floats,
    Proposals,
    concatenate,
    overlaps,
    soft_nms,
    vote,
)

_SHIFT = 1024.0  # seconds; soft-NMS computes in float32, which is coarse after days


class Settler:
    """Proposals in (seconds of one video, all with video 0), final detections out.

    ``limits`` (K,): the lowest score to keep of each class. ``memory``: seconds for which later
    proposals are held against a detection that was decided.
    """

    def __init__(self, config: PostprocessConfig, limits: Floats, memory: float) -> None:
        self._config, self._limits, self._memory = config, limits, memory
        self._waiting = concatenate([])
        self._decided = concatenate([])
        self._deadline = -math.inf
        self.early = self.late = 0

    def add(self, found: Proposals) -> None:
        """Take the proposals of a window."""
        if self._config.voting_tiou is None:  # else what is too weak to be kept has a vote
            found = found[found.scores >= 0.99 * self._limits[found.labels]]
        known = self._decided
        over = (overlaps(found.segments, known.segments) > 0) & _same(found.labels, known.labels)
        outranked = (over & (found.scores[:, None] > known.scores)).any(axis=1)
        too_late = found.segments[:, 1] <= self._deadline
        self.late += int((outranked | too_late).sum())
        self._waiting = concatenate([self._waiting, found[~too_late]])

    def settle(self, complete: float, deadline: float) -> Proposals:
        """The detections that are decided now, by their start.

        ``complete``: the second before which no window to come proposes anything; ``deadline``:
        what ends by then has to be decided.
        """
        self._deadline = max(self._deadline, deadline)
        waiting = self._waiting
        groups = _groups(waiting)
        ends = np.full(len(waiting), -np.inf)
        np.maximum.at(ends, groups, waiting.segments[:, 1])
        closed = ends[groups] <= complete
        due = closed | (waiting.segments[:, 1] <= deadline)
        if not due.any():
            return concatenate([])
        involved = np.isin(groups, groups[due])
        final, kept = self._suppress(waiting[involved], due[involved])
        self.early += int((kept & ~closed[involved]).sum())
        self._waiting = waiting[~due]
        recent = self._decided.segments[:, 1] > complete - self._memory
        originals = waiting[involved][kept]
        self._decided = concatenate(
            [
                self._decided[recent],
                Proposals(originals.segments, final.scores, final.labels, final.videos),
            ]
        )
        return final[np.argsort(final.segments[:, 0], kind="stable")]

    def finish(self, duration: float) -> Proposals:
        """All that is left of a video that ended after ``duration`` seconds."""
        segments = self._waiting.segments.clip(0.0, duration)
        inside = segments[:, 1] > segments[:, 0]
        left = self._waiting
        self._waiting = Proposals(segments, left.scores, left.labels, left.videos)[inside]
        return self.settle(math.inf, math.inf)

    def _suppress(
        self, pool: Proposals, due: NDArray[np.bool_]
    ) -> tuple[Proposals, NDArray[np.bool_]]:
        """Soft-NMS of some groups: the detections among the ``due``, and which these were."""
        known, sigma = self._decided, self._config.sigma
        tious = overlaps(pool.segments, known.segments) * _same(pool.labels, known.labels)
        scores = pool.scores * np.exp(-(tious**2).sum(axis=1) / sigma)
        origin = math.floor(pool.segments[:, 0].min() / _SHIFT) * _SHIFT
        moved = Proposals(
            pool.segments - origin, scores.astype(pool.scores.dtype), pool.labels, pool.videos
        )
        scores = soft_nms(moved, sigma, self._config.min_score)
        kept = due & (scores > 0) & (scores >= self._limits[pool.labels])
        segments = pool.segments[kept]
        if self._config.voting_tiou is not None:
            segments = vote(pool[kept], pool, self._config.voting_tiou)
        return Proposals(segments, scores[kept], pool.labels[kept], pool.videos[kept]), kept


def _same(labels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, m), true where the labels (n,) are those of the others (m,)."""
    same: NDArray[np.bool_] = labels[:, None] == others
    return same


def _groups(proposals: Proposals) -> NDArray[np.int64]:
    """The group (n,) of each proposal, numbered from 0."""
    order = np.lexsort((proposals.segments[:, 0], proposals.labels))
    result = np.empty(len(order), np.int64)
    group, label, end = -1, -1, -math.inf
    for place in order:
        start, own_end = proposals.segments[place]
        if proposals.labels[place] != label or start >= end:
            group, label, end = group + 1, proposals.labels[place], own_end
        end = max(end, own_end)
        result[place] = group
    return result
