"""A folder of videos as a catalog entry: read by id, written one whole file at a time."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from tad_blockdrop.files import whole
from tad_blockdrop.progress import progress

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class VideoTask:
    """How to make one video: ``write(path)`` makes the file, ``fingerprint`` says from what.

    ``write`` must be picklable; a file whose fingerprint is known already is not made again.
    """

    fingerprint: str
    write: Callable[[Path], object]


@dataclass(frozen=True)
class VideoFolder:
    """A folder of videos on disk."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class VideoTasks:
    """What to write into a folder of videos: a task per video id, on at most ``workers`` processes
    (by default one per core)."""

    tasks: Mapping[str, VideoTask]
    workers: int | None = None


class VideoFolderDataset(AbstractDataset[VideoTasks, VideoFolder]):
    """Saving runs the tasks in parallel, resumes where it was cut, and writes a manifest last."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """``filepath``: the folder."""
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> VideoFolder:
        """The folder, which must exist."""
        if not self._folder.is_dir():
            raise DatasetError(
                f"there is no folder of videos at {self._folder}: put the videos there, or set "
                "the folder in this environment's globals.yml"
            )
        return VideoFolder(self._folder.resolve())

    def save(self, data: VideoTasks) -> None:
        """Make every video whose file or fingerprint is missing, each one whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / MANIFEST).unlink(missing_ok=True)
        to_do = {i: t for i, t in data.tasks.items() if not self._is_made(i, t.fingerprint)}
        if len(to_do) < len(data.tasks):
            logger.info("%d of %d videos exist", len(data.tasks) - len(to_do), len(data.tasks))
        # Fresh processes: forking one that has run torch or a decoder can hang.
        with ProcessPoolExecutor(
            data.workers or os.cpu_count(), mp_context=get_context("forkserver")
        ) as pool:
            jobs = {
                pool.submit(_make, task, self._folder / f"{video_id}.mp4"): video_id
                for video_id, task in to_do.items()
            }
            try:
                for job in progress(as_completed(jobs), f"writing {self._folder.name}", len(jobs)):
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        with whole(self._folder / MANIFEST) as temporary:
            names = {i: t.fingerprint for i, t in sorted(data.tasks.items())}
            temporary.write_text(json.dumps(names, indent=1), encoding="utf-8")

    def _is_made(self, video_id: str, fingerprint: str) -> bool:
        stamp = _stamp_path(self._folder / f"{video_id}.mp4")
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint

    def _exists(self) -> bool:
        return (self._folder / MANIFEST).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _stamp_path(video: Path) -> Path:
    return video.with_suffix(".fingerprint")


def _make(task: VideoTask, path: Path) -> None:
    """Write the video, then its stamp: a stamp without its whole video cannot exist."""
    _stamp_path(path).unlink(missing_ok=True)
    with whole(path) as temporary:
        task.write(temporary)
    with whole(_stamp_path(path)) as temporary:
        temporary.write_text(task.fingerprint, encoding="utf-8")
