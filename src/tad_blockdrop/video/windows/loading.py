"""Windows as batches of pixels: the datasets and the loader that training and testing read from.

What a training window holds, and where it comes in the epoch, is a function of (seed, epoch,
index) alone: the number of worker processes, or being resumed, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tad_blockdrop.config import DataConfig, deciding
from tad_blockdrop.parallel.group import share_of_runs
from tad_blockdrop.parallel.starting import clean_processes, end_with_starter, preload
from tad_blockdrop.storage.stamps import check_videos
from tad_blockdrop.video.windows.augment import Augmentation, centre_crop, draw_augmentation
from tad_blockdrop.video.windows.batches import LoadedWindow, collate, loaded
from tad_blockdrop.video.windows.cutting import (
    VideoRecord,
    Window,
    records_hash,
    test_windows,
    trained_on,
    training_window,
)
from tad_blockdrop.video.windows.reading import read_window

logger = logging.getLogger(__name__)


class EpochWindows(Dataset[LoadedWindow]):
    """What is trained on: item (epoch, index) is always the same window.

    ``set_epoch`` tells the loader which epoch comes next.
    """

    quicker: str = ""  # a setting that makes items quicker to read, or nothing

    def __init__(self, records: Sequence[VideoRecord], data: DataConfig) -> None:
        check_videos(record.path for record in records)
        self.records, self.data, self.epoch = records, data, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass over a loader of this dataset."""
        self.epoch = epoch

    @property
    def facts(self) -> dict[str, Any]:
        """What windows depend on, as JSON values."""
        return {"data": deciding("data", self.data), "videos": records_hash(self.records)}

    def loader(self, batch: int, workers: int, seed: int) -> DataLoader[LoadedWindow]:
        """Shuffled batches of the epoch that was set."""
        return make_loader(self, batch, workers, seed)

    def __len__(self) -> int:
        raise NotImplementedError


class TrainingWindows(EpochWindows):
    """Random augmented windows: ``per_video`` for each video that has an action to learn.

    Item (epoch, index) is always the same window with the same augmentation. Raises ValueError when
    no video has an action.
    """

    def __init__(self, records: Sequence[VideoRecord], data: DataConfig, seed: int) -> None:
        shown = [r for r in records if len(trained_on(r, data.window).labels)]
        if not shown:
            raise ValueError(
                f"none of the {len(records)} training videos has an action to learn; check the "
                "annotations of data.training_subset and window.min_instance_share"
            )
        if without := len(records) - len(shown):
            logger.info("%d of %d training videos have no action: left out", without, len(records))
        super().__init__(shown, data)
        self.seed = seed
        self.quicker = quicker_store(data)

    def __len__(self) -> int:
        return len(self.records) * self.data.window.per_video

    def __getitem__(self, key: tuple[int, int]) -> LoadedWindow:
        window, box, augmentation = self.draw(key)
        return loaded(window, self.data.window, augmentation.finish(box))

    def place(self, key: tuple[int, int]) -> tuple[VideoRecord, Window, np.random.Generator]:
        """The video and the window, and the random numbers that follow."""
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        record = self.records[index // self.data.window.per_video]
        return record, training_window(record, self.data.window, rng), rng

    def draw(self, key: tuple[int, int]) -> tuple[Window, Tensor, Augmentation]:
        """A window, its pixels (T, h, w, 3) as they were cut, and how they are to be augmented."""
        record, window, rng = self.place(key)
        frames = read_window(record, window, self.data.cache)
        height, width = frames.shape[1:3]
        crop, config = self.data.window.crop, self.data.augment
        augmentation = draw_augmentation(height, width, crop, config, rng)
        return window, augmentation.cut(frames), augmentation


class TestWindows(Dataset[LoadedWindow]):
    """The test windows of all videos, video by video and in order of time; nothing is random.

    With ``at_most`` some are left out, evenly.
    """

    __test__ = False  # a dataset, whatever pytest makes of its name

    def __init__(
        self,
        records: Sequence[VideoRecord],
        data: DataConfig,
        overlap: float,
        at_most: int | None = None,
    ) -> None:
        self.data = data
        check_videos(record.path for record in records)
        self.items = [
            (record, window)
            for record in records
            for window in test_windows(record, data.window, overlap)
        ]
        if at_most is not None and at_most < len(self.items):
            chosen = np.linspace(0, len(self.items) - 1, at_most).round().astype(int)
            self.items = [self.items[i] for i in chosen]
        self.own = range(len(self.items))

    def take_share(self, rank: int, world: int) -> None:
        """Own whole videos only, those of ``rank``, so that every video is somebody's."""
        self.own = share_of_runs([record.video_id for record, _ in self.items], rank, world)

    def reads(self, batch: int) -> Sequence[int]:
        """The items of all batches, as one process would make them, that hold own ones.

        What a model gives for a window depends, in its last bits, on what it sees beside it.
        """
        first, last = self.own.start // batch * batch, -(-self.own.stop // batch) * batch
        return range(first, min(last, len(self.items))) if self.own else range(0)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> LoadedWindow:
        record, window = self.items[index]
        size = self.data.window
        frames = centre_crop(
            read_window(record, window, self.data.cache), size.short_side, size.crop
        )
        return replace(loaded(window, size, frames), own=index in self.own)


def quicker_store(data: DataConfig) -> str:
    """A setting that makes windows quicker to read, or nothing."""
    if data.proxy is None:
        return "data.proxy: {store: jpeg}"
    return "data.proxy.store: jpeg" if data.proxy.store == "h264" else ""


def make_loader(
    dataset: EpochWindows | TestWindows,
    batch: int,
    workers: int,
    shuffle_seed: int | None = None,
    join: Callable[[Any], Any] | None = None,
) -> DataLoader[LoadedWindow]:
    """Iterates over ``Batch``es of up to ``batch`` windows, read by ``workers`` processes.

    ``join`` makes another kind of batch of a list of items.

    ``EpochWindows`` come shuffled by (``shuffle_seed``, epoch), ``TestWindows`` in order.
    """
    sampler: Sequence[int] | Sampler[tuple[int, int]]
    if isinstance(dataset, EpochWindows):
        assert shuffle_seed is not None  # every ``loader`` of these has one
        sampler = _EpochOrder(dataset, shuffle_seed)
    elif shuffle_seed is not None:
        raise ValueError("test windows are read in order; leave shuffle_seed out")
    else:
        sampler = dataset.reads(batch)
    if workers:
        preload(__name__)
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        collate_fn=join or collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        multiprocessing_context=clean_processes() if workers else None,
        worker_init_fn=_begin,
        # Else each pass takes a number from torch's global generator, to seed workers with.
        generator=torch.Generator(),
    )


class _EpochOrder(Sampler[tuple[int, int]]):
    """Keys (epoch, index) of one epoch, so that workers started long ago learn of a new one."""

    def __init__(self, dataset: EpochWindows, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.dataset.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.dataset))
        return iter([(epoch, int(index)) for index in order])


def _begin(worker: int) -> None:
    end_with_starter()
