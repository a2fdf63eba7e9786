"""Files that several machines are to see."""

import time
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

SECONDS_TO_APPEAR = 60.0  # as long as a network file system may take for what is new


class NotSharedError(BlockDropError):
    """A machine does not see the files of another."""


def await_file(file: Path, process: str, seconds: float = SECONDS_TO_APPEAR) -> None:
    """Wait for what the run has made, maybe on another machine; ``process``: who waits.

    Raises NotSharedError after so many seconds.
    """
    end = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > end:
            raise NotSharedError(
                f"{process} does not see {file.parent} as the run does: the project's folder must "
                "be on a file system that all machines share, under the same path"
            )
        time.sleep(0.2)
