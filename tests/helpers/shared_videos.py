"""Videos that processes on other machines make, for the tests of a cluster."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

from tad_blockdrop.errors import BlockDropError


def write_beside(own: Path, other: Path, path: Path) -> dict[str, Any]:
    """Needs a process that writes the other at the same time."""
    own.touch()
    while not other.exists():
        time.sleep(0.05)
    path.write_text(own.name)
    return {"length": len(own.name)}


def refuse(path: Path) -> None:
    raise BlockDropError("it cannot be read")


def lose_the_first(sign: Path, path: Path) -> None:
    """The first time, kill the process that guards this one, as if its machine were lost."""
    if not sign.exists():
        sign.touch()
        guard = multiprocessing.parent_process()
        assert guard is not None
        os.kill(guard.pid or 0, signal.SIGKILL)
        os._exit(1)
    path.write_text("again")
