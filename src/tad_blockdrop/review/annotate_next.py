"""What to annotate next: the videos that would teach a model most."""

from collections.abc import Iterable, Mapping

import pandas as pd

from tad_blockdrop.review.corrections import Entry, replay
from tad_blockdrop.review.predictions import Predictions, doubts

COLUMNS = ["video_id", "worth", "doubt", "rarest", "actions", "detections", "duration", "path"]


def annotate_next(
    predictions: Predictions, entries: Iterable[Entry], actions: Mapping[str, int]
) -> pd.DataFrame:
    """The predicted videos that are neither annotated nor finished, those worth most first.

    ``actions``: how many true ones there are of each class by now. A video is worth its ``doubt``
    (``predictions.doubts``), twice where a class without any action was detected, once where only
    the most frequent one was, and between these in proportion to the actions of its ``rarest``
    class. The columns are ``COLUMNS``.
    """
    videos = predictions.videos.assign(
        doubt=doubts(predictions.detections, predictions.videos, predictions.model)
    )
    entries = list(entries)
    finished = {
        row["video_id"]
        for row in videos.to_dict("records")
        if replay([], _about(row["video_id"], row.get("content"), entries)).finished
    }
    done = videos["video_id"].isin(predictions.truth.keys() | finished)
    videos = videos[videos["problem"].isna() & ~done]
    found = predictions.detections.assign(
        actions=predictions.detections["label"].map(actions).astype(float)
    )
    by_id = found.sort_values(["actions", "label"]).groupby("video_id")
    rarest = by_id[["label", "actions"]].first()
    counts = by_id.size()
    table = videos.assign(
        rarest=videos["video_id"].map(rarest["label"]),
        actions=videos["video_id"].map(rarest["actions"]).astype("Int64"),
        detections=videos["video_id"].map(counts).fillna(0).astype(int),
    )
    most = max(actions.values(), default=0) or 1
    rarity = 1 - table["actions"].astype(float).fillna(most) / most
    table = table.assign(worth=table["doubt"] * (1 + rarity))
    ordered = table.sort_values(["worth", "video_id"], ascending=[False, True], ignore_index=True)
    return ordered[COLUMNS].round({"worth": 3, "doubt": 3, "duration": 2})


def _about(video: str, content: str | None, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.is_about(video, content)]
