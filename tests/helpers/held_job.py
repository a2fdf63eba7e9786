"""A job that never ends, and an owner of it that hears stop signals as a run does."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from tad_blockdrop.parallel.engine import run
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.parallel.job import Job
from tad_blockdrop.runtime.stop_signals import StopSignals


def hold(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """Hold a lock for as long as this process lives."""
    FileLock(folder / f"{group.rank}.lock").acquire()
    (folder / f"{group.rank}.held").touch()
    time.sleep(3600)


if __name__ == "__main__":
    StopSignals().watch()
    run(Job("held_job:hold", sys.argv[1], {}), 2)
