"""Stopping a run from outside: SIGTERM and SIGINT end it at once, and it says how to go on."""

import os
import signal
import threading
from types import FrameType
from typing import Any

ADVICE = "Finished work is kept; the same command with --only-missing-outputs goes on from it"


class StopSignals:
    """Between ``watch`` and ``release``, a stop signal raises SystemExit(128 + its number).

    That passes every ``except Exception`` and runs every clean-up: temporary files are removed,
    worker processes end, locks are given back. A second signal finds the handlers of before.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def watch(self) -> None:
        """Start watching; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)

    def release(self) -> None:
        """Put back the handlers that were there before."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.release()
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"\nstopped by {signal.Signals(number).name}. {ADVICE}\n".encode())
        raise SystemExit(128 + number)
