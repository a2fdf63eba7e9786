"""One process at a time in an experiment, or in a folder that several share.

``.lock`` in the folder is held; ``.running`` says who holds it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.storage.experiment_record import ExperimentError

logger = logging.getLogger(__name__)

LOCK, HOLDER = ".lock", ".running"


@contextmanager
def hold(folder: Path, wait: bool = False, instead: str = "") -> Iterator[None]:
    """Be the only one in the experiment of this folder, which is named after it.

    Raises ExperimentError if another process is; its message says what else than waiting one may do
    ``instead``. With ``wait``, for a folder that experiments may share, wait for the other one, and
    say so. The operating system drops the lock when its process dies: it cannot go stale.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in (folder / LOCK, folder / HOLDER):
        if file.is_dir():
            raise ExperimentError(
                f"{file} is a folder, but a file of that name says who works in {folder}: "
                "remove the folder"
            )
    lock = FileLock(folder / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        holder = _holder(folder / HOLDER)
        if not wait:
            raise ExperimentError(
                f"experiment '{folder.name}' is being run by {holder}: wait for it{instead}"
            ) from None
        logger.warning("%s is being written by %s: waiting for it", folder, holder)
        lock.acquire(blocking=True)
    try:
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        with atomic_write(folder / HOLDER) as temporary:
            temporary.write_text(f"process {os.getpid()}, started {now}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(file: Path) -> str:
    if not file.is_file():
        return "another process"
    return file.read_text(encoding="utf-8", errors="replace") or "another process"
