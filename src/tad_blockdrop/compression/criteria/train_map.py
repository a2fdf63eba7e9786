"""The exact criterion: what the model is worth without the block (docs/method.md §4.1)."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from torch import Tensor

    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel
    from tad_blockdrop.parallel.group import Group
    from tad_blockdrop.tasks.contract import Metric

logger = logging.getLogger(__name__)


class TrainMap(Criterion):
    """The task's metric on training videos, for detection the average mAP."""

    name = "train_map"
    title = "mAP without the block, %"
    explanation = (
        "The mAP on training videos without the block; the block with the highest is dropped."
    )
    larger_is_better = True
    by_metric = True

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """In percent; NaN, and a warning, where the output is not finite."""
        from tad_blockdrop.compression.criteria.gathering import candidate_batches
        from tad_blockdrop.compression.skipping import skipped_outputs
        from tad_blockdrop.tasks.contract import OutputError

        metrics = {skip: candidates.task.metric() for skip in candidates.skips}
        for batch in candidate_batches(model, candidates, _Metrics(metrics)):
            rest = list(metrics)
            outputs = skipped_outputs(model, batch.frames, batch.mask, rest) if rest else ()
            for skip, output in zip(rest, outputs, strict=True):
                try:
                    metrics[skip].add(batch, output)
                except OutputError as error:
                    logger.warning("without %s: %s", ", ".join(map(str, sorted(skip))), error)
                    del metrics[skip]
        values = dict.fromkeys(candidates.skips, math.nan)
        return values | {skip: metric.value() for skip, metric in metrics.items()}


class _Metrics:
    """The metric with each set of blocks skipped; those that were given up are missing."""

    def __init__(self, metrics: dict[Skip, Metric]) -> None:
        self._metrics = metrics
        self._skips = {" ".join(map(str, sorted(skip))): skip for skip in metrics}

    def state(self) -> dict[str, Tensor]:
        return {
            f"{name}/{key}": value
            for name, skip in self._skips.items()
            if skip in self._metrics
            for key, value in self._metrics[skip].state().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, skip in self._skips.items():
            start = f"{name}/"
            own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            if own:
                self._metrics[skip].restore(own)
            else:
                del self._metrics[skip]

    def share(self, group: Group) -> None:
        """Give up what any process has given up."""
        import torch

        there = {name: torch.tensor(s in self._metrics) for name, s in self._skips.items()}
        everywhere = group.gather(there)
        for name, skip in self._skips.items():
            if all(found[name] for found in everywhere):
                self._metrics[skip].share(group)
            else:
                self._metrics.pop(skip, None)
