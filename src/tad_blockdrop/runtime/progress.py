"""Progress of long work: a bar in a terminal, plain log lines elsewhere."""

import logging
import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from tad_blockdrop.runtime.logs import escape_for_terminal

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0


def progress(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield ``items`` while showing what is done, how far it is and how long it still takes."""
    start = last = time.monotonic()
    with _bar(what, total) as bar:
        for done, item in enumerate(items, start=1):
            yield item
            bar.update()
            now = time.monotonic()
            if bar.disable and now - last >= SECONDS_BETWEEN_LINES and done < total:
                last = now
                left = _left(now - start, done, total)
                logger.info("%s: %d of %d, %s", what, done, total, left)


class TrainingProgress(AbstractContextManager["TrainingProgress"]):
    """Counts optimiser steps of a run of ``epochs`` epochs with ``steps`` steps each."""

    def __init__(self, label: str, epochs: int, steps: int, done: int) -> None:
        """``done``: epochs finished before this process took over."""
        self._label, self._epochs, self._done = label, epochs, done
        self._start = time.monotonic()
        self._metric: float | None = None
        self._last = ""
        self._bar = _bar(label, epochs * steps, done * steps, "step")

    def __exit__(self, *error: object) -> None:
        drawn = not self._bar.disable
        self._bar.close()
        if drawn and self._last and error[0] is None:
            logger.info("%s", self._last)  # the bar is gone; what it came to stays

    def step(self, loss: float, rate: float) -> None:
        """One optimiser step is done."""
        shown = {"loss": f"{loss:.4g}", "lr": f"{rate:.2g}"}
        if self._metric is not None:
            shown["metric"] = f"{self._metric:.4g}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def epoch(self, number: int, row: dict[str, float]) -> None:
        """Epoch ``number`` (1-based) is done; ``row`` is its line of the history."""
        metric = row.get("metric", math.nan)
        if math.isfinite(metric):
            self._metric = metric  # the bar goes on showing the last one known
        self._bar.refresh()
        spent = time.monotonic() - self._start
        rating = f", metric {metric:.4g}" if math.isfinite(metric) else ""
        self._last = (
            f"{self._label}: epoch {number} of {self._epochs}, loss {row['total']:.4g}{rating}"
        )
        left = _left(spent, number - self._done, self._epochs - self._done)
        level = logging.INFO if self._bar.disable else logging.DEBUG
        logger.log(level, "%s, %s", self._last, left)


def _bar(what: str, total: int, done: int = 0, unit: str = "it") -> Any:
    """A tqdm bar on standard error; without a terminal there it is disabled and shows nothing."""
    from tqdm import tqdm

    terminal = sys.stderr is not None and sys.stderr.isatty()  # None: closed from the start
    return tqdm(
        desc=escape_for_terminal(what), total=total, initial=done, unit=unit,
        leave=False, dynamic_ncols=True, disable=not terminal,
    )  # fmt: skip


def _left(spent: float, done: int, total: int) -> str:
    """How long the rest takes at the pace so far: ``about 1:02:03 left``."""
    from tqdm import tqdm

    return f"about {tqdm.format_interval(spent / done * (total - done))} left"
