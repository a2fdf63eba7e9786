"""The dataset that everything after extraction works on: videos, actions, classes and splits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from tad_blockdrop.video.windows.cutting import VideoRecord, records


@dataclass(frozen=True, eq=False)
class ActionDataset:
    """Tables as ``video.dataset`` describes them, and the detector's classes in their order."""

    videos: pd.DataFrame
    instances: pd.DataFrame
    classes: tuple[str, ...]

    def records(self, split: str) -> list[VideoRecord]:
        """The videos of ``train``, ``holdout`` or ``test`` with their instances, sorted by id."""
        return records(self.videos, self.instances, self.classes, split)

    def in_split(self, split: str) -> pd.DataFrame:
        """The rows of ``videos`` of a split."""
        return self.videos[self.videos["split"] == split]

    def coverage(self, used: Collection[str]) -> str:
        """How much of a subset counts, as tables of metrics say it: ``205 of 211 videos``.

        ``used``: the ids of those that do, of one subset.
        """
        listed = self.videos.loc[self.videos["video_id"].isin(used), "listed"]
        return f"{len(listed)} of {listed.iloc[0]} videos"
