"""A job that never ends, and an owner of it that hears stop signals as a run does."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel import launcher
from tad_blockdrop.parallel.engines import run
from tad_blockdrop.parallel.engines.serving import take_part
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.parallel.job import Job
from tad_blockdrop.runtime.stop_signals import StopSignals


class BrokenVideoError(BlockDropError):
    """What one process finds."""


def hold(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """Hold a lock for as long as this process lives; rank 0 waits for the others if ``together``.

    Rank 1 fails if there is a file ``fail``.
    """
    FileLock(folder / f"{group.rank}.lock").acquire()
    (folder / f"{group.rank}.part").write_text(str(os.getpid()))
    (folder / f"{group.rank}.part").rename(folder / f"{group.rank}.held")
    if group.rank == 0 and settings["together"]:
        group.counts(0)
    while not (group.rank and (folder / "fail").exists()):
        time.sleep(0.05)
    raise BrokenVideoError("b.mp4 cannot be read")


def own() -> None:
    """Run the job, as a node of a pipeline does."""
    StopSignals().watch()
    folder, *words = sys.argv[1:]
    job = Job("held_job:hold", folder, {"together": "together" in words})
    engine = RuntimeConfig(engine="ray", devices=2) if "ray" in words else RuntimeConfig()
    run(job, 2, engine, gpus=False)


if __name__ == "__main__":
    if launcher.launched():
        take_part(own)
    else:
        own()
