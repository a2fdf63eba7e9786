"""The external video-level classifier that names what a class-agnostic detector finds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.errors import BlockDropError, printable
from tad_blockdrop.video.problems import Problem

KEY = "evaluation.postprocess.classifier"


class ClassifierError(BlockDropError, ValueError):
    """The external classifier's file cannot be used."""


@dataclass(frozen=True, eq=False)
class VideoClasses:
    """Class names (K) and, for each video of a list, their ``scores`` (V, K)."""

    classes: tuple[str, ...]
    scores: NDArray[np.float64]

    def to_json(self) -> list[Any]:
        """As JSON values, the scores to their last bits."""
        return [list(self.classes), self.scores.tolist()]

    @classmethod
    def of_json(cls, values: Sequence[Any]) -> "VideoClasses":
        """What ``to_json`` gave."""
        classes, scores = values
        return cls(tuple(classes), np.array(scores, np.float64))


def load_classifier(path: Path, video_ids: Sequence[str]) -> VideoClasses:
    """``read_classifier`` of a JSON file; a file that cannot be read is a ClassifierError too."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ClassifierError(
            f"{KEY}: {path} cannot be read as JSON ({error}); correct "
            "the path or the file, or set it to null to evaluate without names of actions"
        ) from error
    return read_classifier(raw, video_ids)


def classifier_problems(
    path: Path, video_ids: Sequence[str], categories: Sequence[str]
) -> list[Problem]:
    """What is wrong with a classifier's file for these videos and annotated classes."""
    try:
        named = load_classifier(path, video_ids)
    except ClassifierError as error:
        message, _, advice = str(error).rpartition("; ")
        return [Problem("", str(path), KEY, "video classifier", message, advice, fatal=True)]
    unnamed = [name for name in categories if name not in named.classes]
    if not unnamed:
        return []
    return [
        Problem(
            "", str(path), KEY, "video classifier",
            f"{len(unnamed)} of {len(categories)} annotated classes are not among the "
            f"classifier's, the first is '{unnamed[0]}'",
            "spell them alike in both files; what is not named has a precision of 0",
            fatal=len(unnamed) == len(categories),
        )
    ]  # fmt: skip


def read_classifier(raw: Mapping[str, Any], video_ids: Sequence[str]) -> VideoClasses:
    """Scores of ``video_ids``, in their order, from a classifier's JSON.

    The layout is ``{"class": [name, …], "results": {video_id: [score, …]}}``, as published for
    ActivityNet; ``classes`` is accepted for ``class``, and ids with or without the ``v_`` prefix.
    Raises ClassifierError for another layout, a video without scores, or scores that are not one
    non-negative number per class.
    """
    keyed = raw if isinstance(raw, Mapping) else {}
    names, results = keyed.get("class", keyed.get("classes")), keyed.get("results")
    if not isinstance(names, list) or not isinstance(results, dict):
        raise ClassifierError(
            f"the video classifier's file ({KEY}) has the top-level keys "
            f"{', '.join(map(str, keyed)) or 'none'}; it must be "
            '{"class": [name, …], "results": {video_id: [score, …]}}'
        )
    named = tuple(map(str, names))
    if broken := [name for name in named if printable(name) != name]:
        raise ClassifierError(
            f"the video classifier's file ({KEY}) has half a character in the class {broken[0]!r}; "
            "write the file as UTF-8"
        )
    # Annotations, video files and this file come from three places; each may have the prefix.
    plain = {str(video).removeprefix("v_"): video for video in results}
    keys = {v: v if v in results else plain.get(v.removeprefix("v_")) for v in video_ids}
    missing = [video for video, key in keys.items() if key is None]
    if missing:
        raise ClassifierError(
            f"the video classifier's file ({KEY}) has no scores for "
            f"{len(missing)} of {len(video_ids)} videos, the first is '{missing[0]}'; add them, "
            "or leave these videos out of the evaluation"
        )
    rows = np.empty((len(video_ids), len(names)))
    for row, video in zip(rows, video_ids, strict=True):
        try:
            row[:] = np.asarray(results[keys[video]], np.float64).reshape(len(names))
        except (TypeError, ValueError, OverflowError):
            row[:] = np.nan
        if not (np.isfinite(row) & (row >= 0)).all():
            raise ClassifierError(
                f"the video classifier's scores of '{video}' ({KEY}) are unusable; they must be a "
                f"list of {len(names)} non-negative numbers, one per class"
            )
    return VideoClasses(named, rows)
