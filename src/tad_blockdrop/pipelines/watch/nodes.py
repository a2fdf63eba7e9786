"""Thin nodes over ``prediction/live``. Heavy imports stand inside the functions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.config.watch import WatchConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.runtime.stop_signals import StopRequest

logger = logging.getLogger(__name__)


def watch_source(
    checkpoint: Checkpoint, watch: WatchConfig, runtime: RuntimeConfig
) -> Iterator[dict[str, Any]]:
    """Each thing that happens in ``watch.source``, to be written at once (``live/lines.py``).

    Until the source ends, is given up, or somebody stops the run.
    """
    from tad_blockdrop.prediction.live.sources import find_source
    from tad_blockdrop.prediction.live.watching import Watch
    from tad_blockdrop.prediction.predictor import make_predictor
    from tad_blockdrop.runtime.runtime import Runtime

    source, work = find_source(watch.source), Runtime(runtime)
    answer = "what is under way is written, then the run ends; a second signal stops it at once"
    with StopRequest(answer) as stopped, work.autocast():
        predictor = make_predictor(checkpoint, work.device, wish=watch.wish)
        running = Watch(predictor, source, watch, stopped)
        for line in running.lines():
            yield line.row()
    logger.info("%s: %s", source.name, running.tally.sentences())
