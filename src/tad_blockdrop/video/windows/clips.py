"""Training windows of which a process reads no more than it works on.

Clips are the unit of training: a window of 48 of them can be shared by as many devices, and the
batch stays what the recipe says it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import DataLoader

from tad_blockdrop.parallel.group import Group, share_of
from tad_blockdrop.video.windows.batches import Batch, LoadedWindow, loaded
from tad_blockdrop.video.windows.device import (
    CutBatch,
    CutWindow,
    without_frames,
)
from tad_blockdrop.video.windows.loading import EpochWindows, TrainingWindows, make_loader

Key = tuple[int, int]


class SharedWindows(EpochWindows):
    """The batches of ``windows`` with the clips of this process of ``group`` for their frames.

    Frames are (own clips, clip_frames, H, W, 3); masks and targets are those of all windows, which
    every process needs for its loss. A window is read and augmented by all that work on it.
    """

    def __init__(self, windows: TrainingWindows, clip_frames: int, group: Group) -> None:
        super().__init__(windows.records, windows.data)
        self.windows, self.clip_frames, self.group = windows, clip_frames, group
        self.quicker = windows.quicker

    @property
    def facts(self) -> dict[str, Any]:
        """Those of the windows: sharing changes nothing that is learned."""
        return self.windows.facts

    def __len__(self) -> int:
        return len(self.windows)

    def loader(self, batch: int, workers: int, seed: int) -> DataLoader[LoadedWindow]:
        """Shuffled batches of the epoch that was set."""
        return make_loader(self, batch, workers, seed, self._join)

    def __getitems__(self, keys: Sequence[Key]) -> list[LoadedWindow]:
        """The windows of a whole batch; those of other processes come without frames."""
        each = self.data.window.frames // self.clip_frames
        own = share_of(len(keys) * each, self.group.rank, self.group.world)
        items = []
        for place, key in enumerate(keys):
            first, last = max(own.start - place * each, 0), min(own.stop - place * each, each)
            kept = slice(first * self.clip_frames, last * self.clip_frames)
            items.append(self._part(key, kept) if first < last else self._unseen(key))
        return items

    def _part(self, key: Key, kept: slice) -> LoadedWindow:
        item = self.windows[key]
        if isinstance(item, CutWindow):
            return replace(item, augmentation=replace(item.augmentation, kept=kept))
        return replace(item, frames=item.frames[kept])

    def _unseen(self, key: Key) -> LoadedWindow:
        _, window, _ = self.windows.place(key)
        return loaded(window, self.data.window)

    def _join(self, items: Sequence[LoadedWindow]) -> Batch | CutBatch:
        rest = without_frames(items)
        shown = [item for item in items if len(item.frames)]
        cut = [item for item in shown if isinstance(item, CutWindow)]
        if cut:
            augmentations = [item.augmentation for item in cut]
            return CutBatch([item.frames for item in cut], augmentations, rest, self.clip_frames)
        frames = torch.cat([item.frames for item in shown])
        return replace(rest, frames=frames.reshape(-1, self.clip_frames, *frames.shape[1:]))


def shared_windows(windows: TrainingWindows, clip_frames: int, group: Group) -> EpochWindows:
    """The windows, or in a group of several processes what each reads of them."""
    return windows if group.world == 1 else SharedWindows(windows, clip_frames, group)
