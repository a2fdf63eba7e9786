"""Loaders whose processes hold a lock for as long as they live, alone or in a job of two."""

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from tad_blockdrop.parallel.engines.local import run
from tad_blockdrop.parallel.failures import WorkerFailedError
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.parallel.job import Job
from tad_blockdrop.video.windows.loading import TestWindows, make_loader


class HeldWindows(TestWindows):
    """One item, which only its reader lets go of, by ending."""

    def __init__(self, file: Path) -> None:
        self.file, self.own = file, range(1)

    def __len__(self) -> int:
        return 1

    def reads(self, batch: int) -> range:
        return range(1)

    def __getitem__(self, index: int) -> Any:
        self.lock = FileLock(self.file.with_suffix(".lock"))
        self.lock.acquire()
        self.file.touch()
        return 0


def join(items: Any) -> Any:
    return items


def read(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """Read the item with a process of a loader, then do nothing."""
    dataset = HeldWindows(folder / f"{group.rank}.held")
    batches: Iterator[Any] = iter(make_loader(dataset, 1, workers=1, join=join))
    next(batches)
    time.sleep(3600)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if sys.argv[2] == "alone":
        place.mkdir()
        read(place, {}, ALONE)
    try:
        run(Job("held_loader:read", str(place), {}), 2)
    except WorkerFailedError as failed:
        print(failed, flush=True)
        time.sleep(3600)  # an owner that lives on
