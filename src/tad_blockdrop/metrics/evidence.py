"""Which detections are right, in an order in which every threshold can be tried at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.metrics.matching import Floats, Indices, match


@dataclass(frozen=True, eq=False)
class Evidence:
    """Detections in V videos, the highest score first, held against their ground truth.

    ``label``, ``video`` (n,): indices into the K ``labels`` and the videos; ``score`` (n,);
    ``right`` (n,): whether it takes an action. ``actions`` (K, V): how many there are.
    """

    labels: tuple[str, ...]
    label: Indices
    video: Indices
    score: Floats
    right: NDArray[np.bool_]
    actions: Indices

    def without(self, videos: NDArray[np.bool_]) -> "Evidence":
        """What the other videos show; ``videos`` (V,): those that are left out, as if empty."""
        stays = ~videos[self.video]
        return replace(
            self,
            label=self.label[stays],
            video=self.video[stays],
            score=self.score[stays],
            right=self.right[stays],
            actions=np.where(videos, 0, self.actions),
        )

    def counts(self, kept: NDArray[np.bool_]) -> Indices:
        """(3, K, V): shown, right and actions by class and video, if ``kept`` (n,) are shown."""
        counts = np.stack([np.zeros_like(self.actions)] * 2 + [self.actions])
        for row, some in enumerate((kept, kept & self.right)):
            np.add.at(counts[row], (self.label[some], self.video[some]), 1)
        return counts


def gather_evidence(
    detections: pd.DataFrame,
    instances: pd.DataFrame,
    videos: Sequence[str],
    labels: Sequence[str] | None,
    tiou: float,
) -> Evidence:
    """Detections of ``labels`` in ``videos``; tables and errors as in ``matching.match``.

    None: all classes that are detected or annotated there, by name.
    """
    matches = match(detections, instances, videos, [tiou])
    right = np.zeros(len(detections), bool)
    right[matches.row[matches.hit[0]]] = True
    video = pd.Index(matches.videos).get_indexer(pd.Index(detections["video_id"]))
    if labels is None:
        labels = sorted({*detections["label"][video >= 0], *matches.labels})
    names = pd.Index(labels)
    label = names.get_indexer(pd.Index(detections["label"]))
    score = detections["score"].to_numpy(np.float64)
    order = np.argsort(-score, kind="stable")
    order = order[(label[order] >= 0) & (video[order] >= 0)]
    actions = np.zeros((len(names), len(matches.videos)), np.int64)
    actions[names.get_indexer(pd.Index(matches.labels))] = matches.truth
    return Evidence(tuple(labels), label[order], video[order], score[order], right[order], actions)
