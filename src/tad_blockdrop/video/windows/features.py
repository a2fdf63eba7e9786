"""Features of a backbone that does not change: computed once, kept on disk, read as windows.

A folder holds one file per video, ``<video_id>.safetensors``, with the features (windows, width,
grid) of its test-time windows in order. The folder belongs to one set of weights and settings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tad_blockdrop.checksums import DamagedError, verify
from tad_blockdrop.config import DataConfig
from tad_blockdrop.parallel.group import ALONE, Group, share_of_runs
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.storage.atomic import sealed_write
from tad_blockdrop.video.files.listing import file_name
from tad_blockdrop.video.windows.batches import Batch, LoadedWindow, loaded
from tad_blockdrop.video.windows.cutting import VideoRecord, trained_on
from tad_blockdrop.video.windows.loading import EpochWindows, TestWindows, make_loader

logger = logging.getLogger(__name__)


def extract_features(
    features_of: Callable[[Batch], Tensor],
    videos: Sequence[VideoRecord],
    data: DataConfig,
    folder: Path,
    batch: int,
    workers: int,
    group: Group = ALONE,
) -> None:
    """Write the files of ``videos`` that ``folder`` lacks, or that are not what was written.

    ``features_of`` gives the features (B, width, grid) of a batch. An interrupted run leaves whole
    files only and goes on from them. The processes of a ``group`` take videos of their own. A
    window is always computed beside the same others, so that nothing depends on either.
    """
    missing = [video for video in videos if not _intact(_file(folder, video.video_id))]
    group.counts(len(missing))  # all have looked before the first file is written
    lacking = [item[0].video_id for item in TestWindows(missing, data, data.window.overlap).items]
    own = {lacking[i] for i in share_of_runs(lacking, group.rank, group.world)}
    loader: Any = make_loader(_SomeBatches(videos, data, own), batch, workers)
    gathered: dict[str, list[Tensor]] = {}
    for part in progress(loader, "extracting features", len(loader)):
        for name, features in zip(part.names, features_of(part).float().cpu(), strict=True):
            if name in own:
                if name not in gathered:
                    _write(folder, gathered)
                gathered.setdefault(name, []).append(features)
    _write(folder, gathered)


class _SomeBatches(TestWindows):
    """Of the batches of all windows of ``videos`` those that hold windows of ``own`` ones."""

    def __init__(
        self, videos: Sequence[VideoRecord], data: DataConfig, own: Collection[str]
    ) -> None:
        super().__init__(videos, data, data.window.overlap)
        self._wanted = [record.video_id in own for record, _ in self.items]

    def reads(self, batch: int) -> list[int]:
        """The items of these batches."""
        places = range(len(self))
        batches = [places[first : first + batch] for first in places[::batch]]
        return [i for part in batches if any(self._wanted[j] for j in part) for i in part]


def _intact(file: Path) -> bool:
    try:
        return file.is_file() and verify(file) is not None
    except DamagedError as error:
        logger.warning("the features are computed again: %s", error)
        return False


def _write(folder: Path, gathered: dict[str, list[Tensor]]) -> None:
    """Write, and forget, the video that is complete."""
    for name, features in gathered.items():
        with sealed_write(_file(folder, name)) as temporary:
            temporary.write_bytes(save({"features": torch.stack(features)}))
    gathered.clear()


def _file(folder: Path, video_id: str) -> Path:
    return folder / file_name(video_id, ".safetensors")


class FeatureWindows(TestWindows):
    """All test windows of all videos, video by video, with their features instead of frames."""

    def __init__(self, records: Sequence[VideoRecord], data: DataConfig, folder: Path) -> None:
        super().__init__(records, data, data.window.overlap)
        self.folder = folder
        first: dict[str, int] = {}
        self.place = [
            number - first.setdefault(record.video_id, number)
            for number, (record, _) in enumerate(self.items)
        ]

    def __getitem__(self, index: int) -> LoadedWindow:
        record, window = self.items[index]
        with safe_open(_file(self.folder, record.video_id), framework="pt") as file:
            features = file.get_slice("features")[self.place[index]]
        there = loaded(window, self.data.window)
        return replace(there, features=features, own=index in self.own)


class FeatureTraining(EpochWindows):
    """The test-time windows that hold an action, in another order each epoch.

    With ``teacher``, another folder, they also have the features of a teacher's backbone. Raises
    ValueError when there is none.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        data: DataConfig,
        folder: Path,
        teacher: Path | None = None,
    ) -> None:
        super().__init__(records, data)
        learned = [trained_on(record, data.window) for record in records]
        self.windows = FeatureWindows(learned, data, folder)
        self.teacher = None if teacher is None else FeatureWindows(records, data, teacher)
        self.chosen = [i for i, (_, w) in enumerate(self.windows.items) if len(w.labels)]
        if not self.chosen:
            raise ValueError(
                f"none of the windows of {len(records)} training videos holds an action; check "
                "the annotations of data.training_subset"
            )

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, key: tuple[int, int]) -> LoadedWindow:
        place = self.chosen[key[1]]
        window = self.windows[place]
        if self.teacher is None:
            return window
        return replace(window, teacher_features=self.teacher[place].features)
