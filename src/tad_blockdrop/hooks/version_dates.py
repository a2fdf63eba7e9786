"""Versions that are dated in the future, as after a clock was set back: they stay the latest."""

import logging
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io.core import generate_timestamp
from kedro.pipeline import Pipeline

from tad_blockdrop.hooks.experiment import ExperimentHook
from tad_blockdrop.hooks.what_runs import what_runs
from tad_blockdrop.storage.experiment_files import future_versions
from tad_blockdrop.storage.experiment_record import ExperimentError

logger = logging.getLogger(__name__)


class VersionDates(ExperimentHook):
    """Names them, and refuses a run that would save an older version beside one."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Compare the versions of the experiment with that of this run."""
        experiment = self._experiment(pipeline)
        if experiment is None:
            return
        found = future_versions(experiment.data, experiment.name, generate_timestamp())
        if not found:
            return
        nodes = what_runs(run_params, pipeline, catalog).nodes
        entries = [catalog.get(name) for node in nodes for name in node.outputs]
        saved = {Path(e._filepath) for e in entries if getattr(e, "_version", None) is not None}
        for folder in found:
            logger.warning(
                "%s is dated in the future: it counts as the latest version until then", folder
            )
        shadowed = [folder for folder in found if folder.parent in saved]
        if shadowed:
            raise ExperimentError(
                "what this run makes would be older than versions that are dated in the future, "
                "and would never be used: set the clock right, or remove these folders:\n"
                + "\n".join(f"  {folder}" for folder in shadowed)
            )
