"""Detections in the format of ActivityNet's results, which most tools for this task read."""

from collections.abc import Iterable
from typing import Any

import pandas as pd


def activitynet_results(detections: pd.DataFrame, video_ids: Iterable[str]) -> dict[str, Any]:
    """``{"version": ..., "results": {video: [{"label", "score", "segment": [start, end]}]}}``.

    Seconds. Every video of ``video_ids`` has an entry, an empty one if nothing was found in it.
    """
    results: dict[str, list[dict[str, Any]]] = {video: [] for video in video_ids}
    for row in detections.to_dict("records"):
        segment = [round(float(row["start"]), 3), round(float(row["end"]), 3)]
        results[row["video_id"]].append(
            {"label": row["label"], "score": round(float(row["score"]), 5), "segment": segment}
        )
    return {"version": "VERSION 1.3", "results": results, "external_data": {"used": False}}
