"""Detection in videos by several devices, each with videos of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from tad_blockdrop.detections.classifier import VideoClasses
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint, weights_of
from tad_blockdrop.jobs.sharing import processes_for, read_evaluator, share_out
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
        """As one process would do it. What only reads features is done here, it is little."""
        processes = processes_for(self, len(videos), "videos")
        if processes == 1 or self.features is not None:
            return super().detect(model, videos, what, scratch, named)
        settings = {
            "videos": [video.video_id for video in videos],
            "what": what,
            "scratch": None if scratch is None else str(scratch.resolve()),
            "named": None if named is None else [named.classes, named.scores.tolist()],
        }
        with _folder(scratch) as folder:
            share_out(find, processes, self, folder, settings, model=self.checkpoint_of(model))
            return read_parquet(folder / RESULT)

    def checkpoint_of(self, model: Detector) -> Checkpoint:
        """A model as its weights and what is needed to make it again."""
        data = self.data
        return Checkpoint(
            weights_of(model), model.config, model.kept_units, tuple(self.dataset.classes),
            model.window, data.every, data.fps, self.evaluation.postprocess,
        )  # fmt: skip


def find(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of ``SharedEvaluator.detect`` does."""
    evaluator = read_evaluator(folder, group)
    model = from_checkpoint(read_checkpoint(folder / "model"), evaluator.runtime.device)
    by_id = {
        video.video_id: video
        for split in evaluator.dataset.videos["split"].unique()
        for video in evaluator.dataset.records(split)
    }
    named = None
    if settings["named"] is not None:
        classes, scores = settings["named"]
        named = VideoClasses(tuple(classes), np.array(scores))
    scratch = settings["scratch"]
    table = evaluator.detect(
        model,
        [by_id[name] for name in settings["videos"]],
        settings["what"],
        None if scratch is None else Path(scratch),
        named,
    )
    if group.rank == 0:
        table.to_parquet(folder / RESULT)


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """Where a job is kept: with the state of its pass, or for the moment."""
    if scratch is not None:
        yield scratch / "shared"
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / "shared"
