"""Detection in videos by several devices, each with videos of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.detections.classifier import VideoClasses
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import read_checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint
from tad_blockdrop.jobs.sharing import as_checkpoint, processes_for, read_evaluator, share_out
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.video.windows.cutting import VideoRecord

RESULT = "detections.parquet"


@dataclass(frozen=True, eq=False)
class SharedEvaluator(Evaluator):
    """An evaluator whose passes over videos are shared by ``runtime.devices``."""

    def detect(
        self,
        model: Detector,
        videos: Sequence[VideoRecord],
        what: str,
        scratch: Path | None = None,
        named: VideoClasses | None = None,
    ) -> pd.DataFrame:
        """As one process would do it.

        Done here: what only reads features, which is little, and what keeps no state, as the
        ratings of a model that is being trained and carries more than a detector.
        """
        if self.features is not None or scratch is None:
            return super().detect(model, videos, what, scratch, named)
        processes = processes_for(self, len(videos), "videos")
        if processes == 1:
            return super().detect(model, videos, what, scratch, named)
        settings = {
            "videos": [video.video_id for video in videos],
            "what": what,
            "scratch": str(scratch.resolve()),
            "named": named and named.to_json(),
        }
        folder = scratch / "shared"
        share_out(work, processes, self, folder, settings, model=as_checkpoint(model, self))
        return read_parquet(folder / RESULT)


def work(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of ``SharedEvaluator.detect`` does."""
    evaluator = read_evaluator(folder, group)
    model = from_checkpoint(read_checkpoint(folder / "model"), evaluator.runtime.device)
    by_id = {
        video.video_id: video
        for split in evaluator.dataset.videos["split"].unique()
        for video in evaluator.dataset.records(split)
    }
    named = settings["named"] and VideoClasses.of_json(settings["named"])
    table = evaluator.detect(
        model,
        [by_id[name] for name in settings["videos"]],
        settings["what"],
        Path(settings["scratch"]),
        named,
    )
    if group.rank == 0:
        table.to_parquet(folder / RESULT)
