"""A run that is stopped from outside says how to go on."""

from typing import Any

from click import get_current_context
from kedro.framework.hooks import hook_impl

from tad_blockdrop.runtime.stop_signals import ADVICE, AGAIN, StopSignals

JOB = {"__default__", "compress", "data", "baseline", "evaluate", "report"}


class StopSignalsWatch:
    """Watches for stop signals during a run of the command line; a notebook keeps its own."""

    def __init__(self) -> None:
        self._signals = StopSignals()

    @hook_impl(trylast=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Watch, once no other hook has refused the run."""
        if get_current_context(silent=True) is not None:
            names = set(run_params["pipeline_names"] or JOB)
            self._signals = StopSignals(ADVICE if names <= JOB else AGAIN)
            self._signals.watch()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Stop watching."""
        self._signals.release()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stop watching."""
        self._signals.release()
