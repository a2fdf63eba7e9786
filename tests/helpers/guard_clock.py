"""Time as the guard of processes sees it: what hangs is given up, what is only slow is not."""

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

import pytest

from tad_blockdrop.video.files import guarded_processes


def hang(sign: Path) -> NoReturn:
    """Never end, and leave a sign that it is so."""
    sign.touch()
    while True:
        time.sleep(3600)


class GuardClock:
    """Takes the place of the guard's clock, which a busy machine would make run out.

    It stands still until ``sign`` is there and no other process is at work; then ``patience``
    seconds pass at once. Besides, each message takes ``step`` seconds.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, patience: float, sign: Path, step: float = 0.0
    ) -> None:
        self.now, self._patience, self._sign, self._step = 0.0, patience, sign, step
        patch.setattr(guarded_processes, "time", self)
        patch.setattr(guarded_processes, "wait", self._wait)

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def _wait(self, connections: Sequence[Connection], timeout: float) -> list[object]:
        while True:
            alone = len(connections) == 1 and timeout <= self._patience  # and it has started
            hangs = alone and self._sign.exists()  # seen first: before it, all else was sent
            if ready := wait(connections, 0.0 if hangs or timeout <= 0 else 0.05):
                self.now += self._step
                return list(ready)
            if hangs:
                self._sign.unlink()
            if hangs or timeout <= 0:
                self.now += max(0.0, timeout)
                return []
