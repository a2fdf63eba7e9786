"""One run at a time in an experiment."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from tad_blockdrop.hooks.experiment import ExperimentHook
from tad_blockdrop.storage.experiment_lock import hold

INSTEAD = ", or choose another name with --params experiment=<name>"


class ExperimentLock(ExperimentHook):
    """Holds the lock of the experiment during its runs."""

    def __init__(self) -> None:
        self._held = ExitStack()

    @hook_impl(wrapper=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> Generator[None, object, object]:
        """Take the lock before all other hooks, and give it back if one of them refuses the run."""
        # Of a run in a notebook that was interrupted, whose end no hook is told. A process has one
        # run at a time.
        self._held.close()
        experiment = self._experiment(pipeline)
        try:
            if experiment is not None:
                self._held.enter_context(hold(experiment.folder, instead=INSTEAD))
            return (yield)
        except BaseException:
            self._held.close()
            raise

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let others run this experiment."""
        self._held.close()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Let others run this experiment."""
        self._held.close()
