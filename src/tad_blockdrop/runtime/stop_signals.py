"""Stopping a run from outside by SIGTERM and SIGINT: at once, or when it is ready to stop."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

ADVICE = "Finished work is kept; the same command with --only-missing-outputs goes on from it"
AGAIN = "Run the same command again"  # where each run makes a new version: never those of the last


class StopSignals:
    """Between ``watch`` and ``release``, a stop signal raises SystemExit(128 + its number).

    That passes every ``except Exception`` and runs every clean-up: temporary files are removed,
    worker processes end, locks are given back. A second signal finds the handlers of before.
    """

    def __init__(self, advice: str = ADVICE) -> None:
        """``advice``: how to go on, for the person who stops."""
        self._advice = advice
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
        os.write(2, f"\nstopped by {signal.Signals(number).name}. {self._advice}\n".encode())
        raise SystemExit(128 + number)


class StopRequest(StopSignals):
    """Inside ``with``, the first stop signal only asks; calling the object tells whether one did.

    For work without an end of its own, which then finishes what it is at. A second signal finds the
    handlers of before.
    """

    def __init__(self, answer: str) -> None:
        """``answer``: what the person who stops reads."""
        super().__init__()
        self._answer, self._asked = answer, False

    def __enter__(self) -> Self:
        self.watch()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __call__(self) -> bool:
        """Whether a signal has asked to stop."""
        return self._asked

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.release()
        self._asked = True
        os.write(2, f"\n{signal.Signals(number).name}: {self._answer}\n".encode())
