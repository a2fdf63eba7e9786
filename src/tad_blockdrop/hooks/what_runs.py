"""What a run will do of the pipeline that it was asked for."""

from typing import Any

from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner


def what_runs(run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> Pipeline:
    """The part of ``pipeline`` that is not done; all of it without ``--only-missing-outputs``."""
    if not run_params["only_missing_outputs"]:
        return pipeline
    # As the runner will do in a moment; it tells nobody what it leaves out.
    return SequentialRunner()._filter_pipeline_for_missing_outputs(pipeline, catalog)
