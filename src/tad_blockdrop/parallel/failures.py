"""What to tell people when one of several processes fails."""

import signal
from collections.abc import Mapping
from pathlib import Path

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.job import worker_log


class WorkerFailedError(BlockDropError):
    """A process that shared in some work failed, and with it the work."""


def told(rank: int, processes: int, code: int, folder: Path, crashes: Mapping[int, str]) -> str:
    """A sentence on the process that failed first.

    ``code``: its exit code, or minus the signal that ended it; ``crashes``: what processes said of
    the errors that ended them, by rank.
    """
    how = crashes.get(rank) or f"it ended with code {code}"
    if code < 0:
        name = signal.Signals(-code).name
        memory = ": was there too little memory?" if name == "SIGKILL" else ""
        how = f"it was killed by {name}{memory}"
    return (
        f"process {rank} of {processes} failed ({how}), so the others were ended; its log is "
        f"{worker_log(folder, rank)}. Finished work is kept: the same command goes on from it"
    )
