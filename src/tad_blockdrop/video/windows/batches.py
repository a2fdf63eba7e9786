"""Windows with their pixels, alone and as batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.video.windows.cutting import Window, grid_mask


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows: ``frames`` uint8 (B, T, H, W, 3), ``mask`` bool (B, grid), true where real.

    Per window, ``segments`` float32 (G, 2) in grid steps and ``labels`` int64 (G,). A batch of
    features that are known already has ``features`` (B, width, grid), and frames without pixels;
    ``teacher_features``, of another backbone, is what a model learns from. ``own``: the windows
    that count here; others are of videos that another process works on.
    """

    frames: Tensor
    mask: Tensor
    segments: list[Tensor]
    labels: list[Tensor]
    windows: list[Window]
    features: Tensor | None = None
    teacher_features: Tensor | None = None
    own: slice = field(default_factory=lambda: slice(0, None))

    @property
    def names(self) -> list[str]:
        """The video of each window."""
        return [window.video_id for window in self.windows]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """A copy whose tensors are on ``device``."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory (called by the loader, for fast copies to a GPU)."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            frames=change(self.frames),
            mask=change(self.mask),
            segments=[change(s) for s in self.segments],
            labels=[change(v) for v in self.labels],
            features=None if self.features is None else change(self.features),
            teacher_features=(
                None if self.teacher_features is None else change(self.teacher_features)
            ),
        )


@dataclass(frozen=True, eq=False)
class LoadedWindow:
    """One window with its frames, uint8 (T, H, W, 3), and its mask, bool (grid,).

    Or with ``features`` (width, grid) of a backbone, perhaps ``teacher_features`` of another, and
    frames without pixels. ``own``: whether it counts here.
    """

    window: Window
    frames: Tensor
    mask: Tensor
    features: Tensor | None = None
    teacher_features: Tensor | None = None
    own: bool = True


def loaded(window: Window, size: WindowConfig, frames: Tensor | None = None) -> LoadedWindow:
    """A window of ``size`` with its mask and its frames (T, H, W, 3), or without pixels."""
    if frames is None:
        frames = torch.empty(0, dtype=torch.uint8)
    return LoadedWindow(window, frames, torch.from_numpy(grid_mask(window.n_valid, size)))


def collate(items: Sequence[LoadedWindow]) -> Batch:
    """Stack windows into one batch."""
    features = [item.features for item in items if item.features is not None]
    taught = [item.teacher_features for item in items if item.teacher_features is not None]
    return Batch(
        features=torch.stack(features) if features else None,
        teacher_features=torch.stack(taught) if taught else None,
        frames=torch.stack([item.frames for item in items]),
        mask=torch.stack([item.mask for item in items]),
        segments=[torch.from_numpy(item.window.segments) for item in items],
        labels=[torch.from_numpy(item.window.labels) for item in items],
        windows=[item.window for item in items],
        own=_own_part([item.own for item in items]),
    )


def _own_part(own: list[bool]) -> slice:
    """Where the own ones stand: there are some, in a row."""
    return slice(own.index(True), own.index(True) + sum(own))
