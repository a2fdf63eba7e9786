"""Detections read from a file in the ActivityNet layout of results."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tad_blockdrop.video.annotations import AnnotationError

DETECTIONS = ["video_id", "start", "end", "label", "score"]
LAYOUT = '{"results": {video: [{"segment": [start, end], "label": n, "score": p}]}}'


def read_predictions(raw: Mapping[str, Any]) -> pd.DataFrame:
    """A table of detections (video_id, start, end in s, label, score) from a parsed JSON file.

    Raises AnnotationError where the file has another layout.
    """
    results = raw.get("results") if isinstance(raw, Mapping) else None
    if not isinstance(results, Mapping):
        raise AnnotationError(
            "top level", "there is no 'results'", f"predictions look like {LAYOUT}"
        )
    rows = []
    for video, items in results.items():
        if not isinstance(items, list):
            raise AnnotationError(f"results.{video}", "it is not a list", f"write {LAYOUT}")
        for number, item in enumerate(items):
            try:
                numbers = [*map(float, item["segment"]), float(item["score"])]
                start, end, score = (_finite(number) for number in numbers)
                rows.append((str(video), start, end, str(item["label"]), score))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise AnnotationError(
                    f"results.{video}[{number}]", "it is not a detection", f"write {LAYOUT}"
                ) from error
    return pd.DataFrame(rows, columns=DETECTIONS)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number
