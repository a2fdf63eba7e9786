"""Refuses the runners of Kedro that the entries in memory and the clock of nodes do not outlive."""

from typing import Any

from kedro.framework.hooks import hook_impl

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.launcher import launched

REFUSED = ("ParallelRunner", "ThreadRunner")


class RunnerError(BlockDropError):
    """A runner that cannot run these pipelines."""


class KnownRunners:
    """Lets nodes run one after the other only."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Refuse a runner of several nodes at a time, and a run that a launcher starts N times."""
        if launched():
            raise RunnerError(
                "a launcher has started several processes of one run: have it start "
                "'-m tad_blockdrop', with the options of kedro run, in which they share the work"
            )
        for name in REFUSED:
            if name in run_params["runner"]:
                raise RunnerError(
                    f"{name} cannot run these pipelines: models are handed from node to node in "
                    "memory, and each node is timed by itself. Leave out --runner: the nodes "
                    "themselves use all cores and the GPU"
                )
