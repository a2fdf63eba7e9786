"""Training windows whose pixels are augmented where the model is.

The loader draws what is to be done, with the same random numbers, and cuts the box that is shown.
Until they are on the device pixels stay bytes. From worker processes they come through shared
memory; on CUDA the loader's own thread puts them into page-locked memory, of which PyTorch keeps
and reuses the blocks, and hands no block out before its last copy is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tad_blockdrop.config import DataConfig
from tad_blockdrop.video.windows.augment import Augmentation
from tad_blockdrop.video.windows.batches import Batch, LoadedWindow, collate
from tad_blockdrop.video.windows.cutting import VideoRecord, grid_mask
from tad_blockdrop.video.windows.loading import TrainingWindows, make_loader


@dataclass(frozen=True, eq=False, kw_only=True)
class CutWindow(LoadedWindow):
    """A window whose frames (T, h, w, 3) are cut, and what is still to be done to them."""

    augmentation: Augmentation


@dataclass(frozen=True, eq=False)
class CutBatch:
    """B windows whose frames ``cuts``, uint8 (T, h, w, 3) each, are augmented by ``to``.

    ``rest``: the batch without frames; ``length``: the frames of a window or clip of it.
    """

    cuts: list[Tensor]
    augmentations: list[Augmentation]
    rest: Batch
    length: int

    @property
    def names(self) -> list[str]:
        """The video of each window."""
        return self.rest.names

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on ``device``, with its frames as the model sees them."""
        moved = [cut.to(device, non_blocking=non_blocking) for cut in self.cuts]
        # Colours are computed with float32, whatever the precision of the model.
        with torch.no_grad(), torch.autocast(torch.device(device).type, enabled=False):
            frames = [a.finish(cut) for a, cut in zip(self.augmentations, moved, strict=True)]
        joined = torch.cat(frames).reshape(-1, self.length, *frames[0].shape[1:])
        return replace(self.rest.to(device, non_blocking), frames=joined)

    def pin_memory(self) -> CutBatch:
        """A copy in page-locked memory (called by the loader, for fast copies to a GPU)."""
        cuts = [cut.pin_memory() for cut in self.cuts]
        return replace(self, cuts=cuts, rest=self.rest.pin_memory())


class DeviceWindows(TrainingWindows):
    """``TrainingWindows`` that come as ``CutBatch``es."""

    def __getitem__(self, key: tuple[int, int]) -> CutWindow:
        window, box, augmentation = self.draw(key)
        mask = torch.from_numpy(grid_mask(window.n_valid, self.data.window))
        # Of its own, so that only the box travels from a worker.
        return CutWindow(
            window=window, frames=box.contiguous(), mask=mask, augmentation=augmentation
        )

    def loader(self, batch: int, workers: int, seed: int) -> DataLoader[LoadedWindow]:
        """Shuffled batches of the epoch that was set."""
        return make_loader(self, batch, workers, seed, join_cut)


def join_cut(items: Sequence[CutWindow]) -> CutBatch:
    """Windows as one batch; no pixel is copied."""
    cuts, augmentations = [item.frames for item in items], [item.augmentation for item in items]
    return CutBatch(cuts, augmentations, without_frames(items), len(cuts[0]))


def without_frames(items: Sequence[LoadedWindow]) -> Batch:
    """All of a batch but its pixels."""
    nothing = torch.empty(0, dtype=torch.uint8)
    return collate([LoadedWindow(item.window, nothing, item.mask) for item in items])


def training_windows(
    records: Sequence[VideoRecord], data: DataConfig, seed: int, device: torch.device
) -> TrainingWindows:
    """Windows to train on at ``device``: on a CPU the loader does all the work, beside the model.

    Raises ValueError when no video has an action.
    """
    kind = DeviceWindows if device.type == "cuda" else TrainingWindows
    return kind(records, data, seed)
