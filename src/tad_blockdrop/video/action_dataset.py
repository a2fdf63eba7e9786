"""The dataset that everything after extraction works on: videos, actions, classes and splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from tad_blockdrop.video.windows.cutting import VideoRecord, records

INSTANCE_COLUMNS = ("video_id", "start", "end", "label", "category")


@dataclass(frozen=True, eq=False)
class ActionDataset:
    """Tables as ``video.dataset`` describes them, and the detector's classes in their order."""

    videos: pd.DataFrame
    instances: pd.DataFrame
    classes: tuple[str, ...]

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that it says; where the files are does not count."""
        tables = (
            self.videos.drop(columns="path").sort_values("video_id"),
            self.instances.sort_values([*INSTANCE_COLUMNS]),
        )
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for table in tables:
            text = table.to_json(orient="split", index=False, double_precision=15)
            digest.update(text.encode())
        return digest.hexdigest()

    def records(self, split: str) -> list[VideoRecord]:
        """The videos of ``train``, ``holdout`` or ``test`` with their instances, sorted by id."""
        return records(self.videos, self.instances, self.classes, split)

    def held_out(self) -> list[VideoRecord]:
        """The held-out training videos; none if they show no action to rate a model by."""
        videos = self.records("holdout")
        return videos if any(len(video.labels) for video in videos) else []

    def in_split(self, split: str) -> pd.DataFrame:
        """The rows of ``videos`` of a split."""
        return self.videos[self.videos["split"] == split]

    def coverage(self, used: Collection[str]) -> str:
        """How much of a subset counts, as tables of metrics say it: ``205 of 211 videos``.

        ``used``: the ids of those that do, of one subset.
        """
        listed = self.videos.loc[self.videos["video_id"].isin(used), "listed"]
        return f"{len(listed)} of {listed.iloc[0]} videos"
