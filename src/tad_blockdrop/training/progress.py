"""What a training run shows while it works: a bar in a terminal, a log line per epoch elsewhere."""

import logging
import math
import sys
import time
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)


class TrainingProgress:
    """Counts optimiser steps of a run of ``epochs`` epochs with ``steps`` steps each."""

    def __init__(self, label: str, epochs: int, steps: int, done: int) -> None:
        """``done``: epochs finished before this process took over."""
        self._label, self._epochs, self._steps, self._done = label, epochs, steps, done
        self._start = time.monotonic()
        self._metric: float | None = None
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=label, total=epochs * steps, initial=done * steps, unit="step",
                dynamic_ncols=True, leave=False,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._bar is not None:
            self._bar.close()

    def step(self, loss: float, rate: float) -> None:
        """One optimiser step is done."""
        if self._bar is not None:
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
        if self._bar is not None:
            self._bar.refresh()
            return
        spent = time.monotonic() - self._start
        left = spent / (number - self._done) * (self._epochs - number)
        rating = f", metric {metric:.4g}" if math.isfinite(metric) else ""
        logger.info(
            "%s: epoch %d of %d, loss %.4g%s, about %.0f s left",
            self._label, number, self._epochs, row["total"], rating, left,
        )  # fmt: skip
