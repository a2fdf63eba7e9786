"""The checks of the data, then one window of real work; nothing but the report is kept."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.data.pipeline import create_validation_pipeline
from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.preflight import nodes


def create_pipeline(synthetic: bool) -> Pipeline:
    """``synthetic``: whether the raw videos are generated or were put there by the user."""
    return create_validation_pipeline(synthetic) + stage(
        "preflight",
        node(nodes.run_preflight, ["accepted_dataset", "parameters"], "preflight_report"),
        node(nodes.refuse_obstacles, "preflight_report", None),
    )
