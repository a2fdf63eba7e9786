"""Small tables for the tests of the evaluation, and the metric written out step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd

INSTANCE_COLUMNS = ["video_id", "start", "end", "label"]
DETECTION_COLUMNS = [*INSTANCE_COLUMNS, "score"]


def instances(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=INSTANCE_COLUMNS)


def detections(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=DETECTION_COLUMNS)


def random_tables(
    seed: int, n_truth: int, n_found: int, videos: int = 4, labels: int = 3
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Detections (some in unknown videos, of unknown labels, of equal score) and instances.

    Whole seconds, so that overlaps tie often.
    """
    rng = np.random.default_rng(seed)

    def segments(n: int) -> tuple[np.ndarray, np.ndarray]:
        start = rng.integers(0, 12, n)
        return start.astype(float), (start + rng.integers(1, 8, n)).astype(float)

    start, end = segments(n_truth)
    truth = pd.DataFrame(
        {
            "video_id": [f"v{i}" for i in rng.integers(0, videos, n_truth)],
            "start": start,
            "end": end,
            "label": [f"c{i}" for i in rng.integers(0, labels, n_truth)],
        }
    )
    start, end = segments(n_found)
    found = pd.DataFrame(
        {
            "video_id": [f"v{i}" for i in rng.integers(0, videos + 1, n_found)],
            "start": start,
            "end": end,
            "label": [f"c{i}" for i in rng.integers(0, labels + 1, n_found)],
            "score": rng.integers(1, 30, n_found) / 30,
        }
    )
    return found, truth, [f"v{i}" for i in range(videos)]


def tiou(a: pd.Series, b: pd.Series) -> float:
    inter = max(0.0, min(a.end, b.end) - max(a.start, b.start))
    return inter / (a.end - a.start + b.end - b.start - inter)


def hits_by_definition(found: pd.DataFrame, truth: pd.DataFrame, threshold: float) -> list[bool]:
    """Of one class, one detection after the other, sorted by score already."""
    taken: set = set()
    hits = []
    for _, detection in found.iterrows():
        best, best_tiou = None, threshold
        for index, instance in truth.iterrows():
            overlap = tiou(detection, instance)
            free = index not in taken and instance.video_id == detection.video_id
            if free and (overlap > best_tiou or (overlap >= threshold and best is None)):
                best, best_tiou = index, overlap
        hits.append(best is not None)
        taken.add(best)
    return hits


def area_by_definition(hits: list[bool], n_truth: int) -> float:
    """Integrates the precision envelope over recall, rectangle by rectangle."""
    points = [(sum(hits[:i]) / n_truth, sum(hits[:i]) / i) for i in range(1, len(hits) + 1)]
    area, recall = 0.0, 0.0
    for reached, _ in points:
        envelope = max(p for r, p in points if r >= reached)
        area += (reached - recall) * envelope
        recall = reached
    return area


def precision_by_definition(
    found: pd.DataFrame, truth: pd.DataFrame, videos: list[str], tious: list[float]
) -> dict[tuple[str, float], float]:
    """AP by (label, tIoU), for instances that are distinct and have a length."""
    truth = truth[truth.video_id.isin(videos)]
    result = {}
    for label in sorted(set(truth.label)):
        mine = found[found.label == label].sort_values("score", ascending=False, kind="stable")
        mine = mine.assign(video_id=mine.video_id.where(mine.video_id.isin(videos), "elsewhere"))
        target = truth[truth.label == label]
        for threshold in tious:
            hits = hits_by_definition(mine, target, threshold)
            result[label, threshold] = area_by_definition(hits, len(target))
    return result
