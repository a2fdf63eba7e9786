"""One process at a time in an experiment: ``.lock`` in its folder; ``.running`` says who."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.storage.experiment_record import ExperimentError

LOCK, HOLDER = ".lock", ".running"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the only one in the experiment of this folder, which is named after it.

    Raises ExperimentError if another process is. The operating system drops the lock when its
    process dies: it cannot go stale.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in (folder / LOCK, folder / HOLDER):
        if file.is_dir():
            raise ExperimentError(
                f"{file} is a folder, but a file of that name says who runs the experiment: remove "
                "the folder"
            )
    lock = FileLock(folder / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ExperimentError(
            f"experiment '{folder.name}' is being run by {_holder(folder / HOLDER)}: wait for it, "
            "or choose another name with --params experiment=<name>"
        ) from None
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
