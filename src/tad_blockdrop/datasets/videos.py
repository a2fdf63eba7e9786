"""A folder of videos as a catalog entry: read by id, written one whole file at a time."""

import json
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from tad_blockdrop.checksums import DamagedError, verify
from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.datasets.folder import PathDataset
from tad_blockdrop.errors import BlockDropError, first_lines
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.storage.atomic import atomic_write, sealed_write, sweep
from tad_blockdrop.storage.experiment_lock import hold
from tad_blockdrop.storage.stamps import fault_of, read_stamp, stamp_of, write_stamp
from tad_blockdrop.video.files.guarded_processes import Outcome, guarded, run_guarded
from tad_blockdrop.video.files.listing import file_name

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
SHOWN = 10  # failures that an error message lists
CHANGED = "its file changed while it was read: run again"


class VideoFolderError(BlockDropError):
    """Videos of a folder could not be made."""


@dataclass(frozen=True)
class VideoTask:
    """How to make one video: ``write(path)`` makes the file, ``fingerprint`` says from what.

    ``write`` must be picklable; the facts that it returns (plain values, or None) are kept in the
    manifest. A file whose fingerprint is known already is not made again, unless its facts
    contradict what is ``expected`` of them.
    """

    fingerprint: str
    write: Callable[[Path], Mapping[str, Any] | None]
    expected: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoFolder:
    """A folder of videos on disk.

    Of videos that were made here: why some could not be, and what the others were made from, by id.
    """

    path: Path
    failed: Mapping[str, str] = field(default_factory=dict)
    made_from: Mapping[str, str] = field(default_factory=dict)

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class VideoTasks:
    """What to write into a folder of videos: a task per video id.

    On at most ``workers`` processes (by default one per core), or on all machines of the cluster
    that ``cluster`` names. A video is given up after
    ``timeout`` seconds without progress. With ``skip_failed`` one that is given up or cannot be
    read is left out; otherwise it is an error, told when all others are made.
    """

    tasks: Mapping[str, VideoTask]
    workers: int | None = None
    timeout: float = 600.0
    skip_failed: bool = False
    cluster: RuntimeConfig | None = None


@dataclass(frozen=True)
class _Job:
    video_id: str
    task: VideoTask
    path: Path


Outcomes = Generator[Outcome[_Job, None], None, None]


class VideoFolderDataset(PathDataset[VideoTasks, VideoFolder]):
    """Saving runs the tasks in parallel, resumes where it was cut, and writes a manifest last.

    The manifest has what each video was made from, with the facts that its task returned, and why
    others are not there.
    """

    def load(self) -> VideoFolder:
        """The folder, which must exist."""
        if not self._path.is_dir():
            raise DatasetError(
                f"there is no folder of videos at {self._path}: put the videos there, or set "
                "the folder in this environment's globals.yml"
            )
        if not self._exists():
            return VideoFolder(self._path.resolve())
        manifest = self._path / MANIFEST
        verify(manifest)
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
            made_from = {video: facts["made_from"] for video, facts in found["videos"].items()}
            return VideoFolder(self._path.resolve(), dict(found["failed"]), made_from)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(
                f"{manifest} is not the list of videos that were made here ({error!r}): remove it, "
                "or move a file of your own away"
            ) from error

    def save(self, data: VideoTasks) -> None:
        """Make every video whose file or fingerprint is missing, each one whole.

        Where another process does so in the same folder, which experiments may share, it is waited
        for: what it makes need not be made again.
        """
        with hold(self._path, wait=True):
            self._make_folder(data)

    def _make_folder(self, data: VideoTasks) -> None:
        jobs = [_Job(i, task, self._path / file_name(i, ".mp4")) for i, task in data.tasks.items()]
        to_do = [job for job in jobs if _facts_of(job) is None]
        if len(to_do) < len(jobs):
            logger.info("%d of %d videos exist", len(jobs) - len(to_do), len(jobs))
        if to_do:  # else the list may be of use to an experiment that shares it
            (self._path / MANIFEST).unlink(missing_ok=True)
        failed = self._make_all(to_do, data)
        made = {job.video_id: _facts_of(job) for job in jobs if job.video_id not in failed}
        failed |= {video: CHANGED for video, facts in made.items() if facts is None}
        failed = dict(sorted(failed.items()))
        if failed and not data.skip_failed:
            advice = "get these files again; with data.on_missing: skip a dataset does without them"
            raise VideoFolderError(f"{_listed(failed)}\n{advice}")
        if failed:
            logger.warning("left out of %s: %s", self._path, _listed(failed))
        videos = {video: facts for video, facts in sorted(made.items()) if facts is not None}
        with sealed_write(self._path / MANIFEST) as temporary:
            manifest = {"videos": videos, "failed": failed}
            temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def _make_all(self, jobs: list[_Job], data: VideoTasks) -> dict[str, str]:
        """Why some could not be made, by id. Other errors than a video's own are raised."""
        failed: dict[str, str] = {}
        try:
            with closing(self._outcomes(jobs, data)) as outcomes:
                for outcome in progress(outcomes, f"writing {self._path.name}", len(jobs)):
                    if isinstance(outcome.error, BlockDropError):
                        failed[outcome.item.video_id] = str(outcome.error)
                    elif outcome.error is not None:
                        raise outcome.error
        finally:
            sweep(self._path)  # of processes that were given up, or cut short by an error
        return failed

    def _outcomes(self, jobs: list[_Job], data: VideoTasks) -> Outcomes:
        if data.cluster is not None:
            from tad_blockdrop.parallel.engines.tasks import spread  # imports torch

            make = partial(guarded, function=_make, timeout=data.timeout)
            return spread(make, jobs, self._path, data.cluster)
        from tad_blockdrop.runtime.devices import cores_here  # imports torch

        return run_guarded(_make, jobs, data.workers or cores_here(), data.timeout)

    def _exists(self) -> bool:
        return (self._path / MANIFEST).is_file()


def _listed(failed: Mapping[str, str]) -> str:
    lines = first_lines([f"{video}: {reason}" for video, reason in failed.items()], SHOWN)
    return "\n  ".join([f"{len(failed)} video(s) cannot be used:", *lines])


def _facts_of(job: _Job) -> dict[str, Any] | None:
    """The stamp of a video that has been made from what the task says; else None."""
    stamp = read_stamp(job.path)
    if stamp is None or stamp["made_from"] != job.task.fingerprint or not job.path.is_file():
        return None
    if any(stamp.get(name, value) != value for name, value in job.task.expected.items()):
        return None
    if (fault := fault_of(job.path)) is not None:
        logger.warning("%s is made again: %s", job.path, fault)
        return None
    return {name: value for name, value in stamp.items() if name != "file"}


def _make(job: _Job) -> None:
    """Write the video, then its stamp: a stamp without its whole video cannot exist."""
    stamp_of(job.path).unlink(missing_ok=True)
    with atomic_write(job.path) as temporary:
        facts = job.task.write(temporary)
    write_stamp(job.path, job.task.fingerprint, facts or {})
