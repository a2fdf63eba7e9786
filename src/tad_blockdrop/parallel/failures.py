"""What to tell people when one of several processes fails."""

import signal
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

GONE = "it is gone: was it killed, or its machine lost?"  # how a process failed that says nothing


class WorkerFailedError(BlockDropError):
    """A process that shared in some work failed, and with it the work."""


class LostOthersError(Exception):
    """An operation of several processes failed, as it does once one of the others is gone."""


def ended_by(code: int, crash: str | None) -> str:
    """How a process failed: by the error that it told, its exit code, or minus a signal."""
    if code < 0:
        name = signal.Signals(-code).name
        memory = ": was there too little memory?" if name == "SIGKILL" else ""
        return f"it was killed by {name}{memory}"
    return crash or f"it ended with code {code}"


def told(process: str, how: str, log: Path | None) -> str:
    """A sentence on the process that failed first."""
    where = f"; its log is {log}" if log else ""
    return (
        f"{process} failed ({how}), so the others were ended{where}. "
        "Finished work is kept: the same command goes on from it"
    )
