"""No other parameters in an experiment than those that it was begun with."""

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from tad_blockdrop.hooks.experiment import ExperimentHook, namespaces
from tad_blockdrop.storage.experiment_record import STAGE_OF, refuse_mixing

# Checking a dataset alone settles nothing yet: parameters may change until frames are extracted.
SETTLES_DATA = "data.extract_frames"


class ParameterRecord(ExperimentHook):
    """Compares a run's parameters with ``experiment.json``, which it adds to."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Refuse the run of a stage that was begun with other parameters."""
        experiment = self._experiment(pipeline)
        if experiment is None:
            return
        running = {STAGE_OF[space] for space in namespaces(pipeline) & STAGE_OF.keys()}
        checking = SETTLES_DATA not in {node.name for node in pipeline.nodes}
        refuse_mixing(
            experiment.record, experiment.name, experiment.parameters,
            running, running - {"data"} if checking else running, experiment.environment,
        )  # fmt: skip
