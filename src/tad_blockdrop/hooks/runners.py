"""Refuses the runners of Kedro that the entries in memory and the clock of nodes do not outlive."""

from typing import Any

from kedro.framework.hooks import hook_impl

from tad_blockdrop.errors import BlockDropError

REFUSED = ("ParallelRunner", "ThreadRunner")


class RunnerError(BlockDropError):
    """A runner that cannot run these pipelines."""


class KnownRunners:
    """Lets nodes run one after the other only."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Refuse a runner of several nodes at a time."""
        for name in REFUSED:
            if name in run_params["runner"]:
                raise RunnerError(
                    f"{name} cannot run these pipelines: models are handed from node to node in "
                    "memory, and each node is timed by itself. Leave out --runner: the nodes "
                    "themselves use all cores and the GPU"
                )
