"""No half-written files of killed runs."""

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from tad_blockdrop.hooks.experiment import ExperimentHook
from tad_blockdrop.storage.atomic import sweep


class TemporaryFilesSweep(ExperimentHook):
    """Removes what killed runs were writing; the lock sees to it that nobody writes now."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Sweep the experiment's folder in every layer."""
        experiment = self._experiment(pipeline)
        for layer in experiment.layers() if experiment else ():
            sweep(layer)
