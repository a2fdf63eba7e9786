"""Says which stage of a run begins, and how far the run is."""

import logging
from itertools import count
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tad_blockdrop.hooks.what_runs import what_runs

logger = logging.getLogger(__name__)


class Stages:
    """A line for each node. Kedro's own, some ten, are in the log file (conf/logging.yml)."""

    def __init__(self) -> None:
        self._numbers, self._total = count(1), 0

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Count the nodes that will run."""
        total = len(pipeline.nodes)
        self._numbers = count(1)
        self._total = len(what_runs(run_params, pipeline, catalog).nodes)
        if self._total < total:
            logger.info("%d of %d stages are done already", total - self._total, total)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Name the stage that begins."""
        logger.info("stage %d of %d: %s", next(self._numbers), self._total, node.name)
