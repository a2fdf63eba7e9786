"""What people look at: predictions, the model that made them, and what is known to be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pandas as pd


class Model(TypedDict):
    """What predictions were made with. ``weights``: their SHA-256; ``title``: its name for people.

    ``thresholds``: the score from which on a detection counts, for each of the ``classes``.
    ``expected``: sentences on what to expect of them; older predictions have none.
    """

    title: str
    weights: str
    classes: list[str]
    thresholds: dict[str, float]
    expected: NotRequired[list[str]]


class KnownTruth(TypedDict):
    """What annotations say of a predicted video: its id there, and [label, start, end] in s."""

    video: str
    actions: list[list[Any]]


@dataclass(frozen=True, eq=False)
class Predictions:
    """All that the pages show.

    ``detections``: video_id, start, end (s), label, score, and of calibrated models
    probability, that it is right. ``videos``: video_id, path, duration,
    start (s, of the first frame), fps, speed (a multiple of real time), strongest (score), plays
    (whether a browser can play the file), content (the mark of the file, which older predictions
    lack) and problem, which is None for videos that could be read.
    ``truth``: by video_id, of those that are annotated.
    """

    detections: pd.DataFrame
    videos: pd.DataFrame
    model: Model
    truth: dict[str, KnownTruth]

    def key(self, video_id: str) -> str:
        """By what corrections name a video: its id in the annotations, if they list it."""
        known = self.truth.get(video_id)
        return known["video"] if known else video_id


@dataclass(frozen=True, eq=False)
class Reviewed:
    """The newest ``predictions``, and the ``files`` of all: paths by version and video id."""

    predictions: Predictions
    files: dict[str, dict[str, str]]


def doubts(detections: pd.DataFrame, videos: pd.DataFrame, model: Model) -> pd.Series:
    """How unsure the model is of each video, 0 to 1, by the index of ``videos``.

    A detection is as doubtful as its score is near the threshold of its class; a video as its
    detections are on average, or, without any, as the strongest score below the thresholds.
    """
    limit = detections["label"].map(model["thresholds"]).astype(float)
    each = _nearness(detections["score"].astype(float), limit)
    known = each.groupby(detections["video_id"]).mean()
    lowest = min(model["thresholds"].values())
    below = _nearness(videos["strongest"].astype(float), pd.Series(lowest, index=videos.index))
    return videos["video_id"].map(known).astype(float).fillna(below).fillna(0.0)


def _nearness(first: pd.Series, second: pd.Series) -> pd.Series:
    both = pd.DataFrame({"first": first, "second": second})
    largest = both.max(axis=1)
    return both.min(axis=1) / largest.where(largest > 0, 1.0)
