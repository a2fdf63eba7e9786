"""The checks of the data, then one window of real work; nothing but the report is kept."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.data import create_validation_pipeline
from tad_blockdrop.pipelines.preflight import nodes


def create_pipeline(synthetic: bool) -> Pipeline:
    """``synthetic``: whether the raw videos are generated or were put there by the user."""
    work = [
        Node(
            nodes.run_preflight,
            inputs=["accepted_dataset", "parameters"],
            outputs="preflight_report",
            name="run_preflight",
        ),
        Node(
            nodes.refuse_obstacles,
            inputs="preflight_report",
            outputs=None,
            name="refuse_obstacles",
        ),
    ]
    return create_validation_pipeline(synthetic) + Pipeline(
        work, namespace="preflight", prefix_datasets_with_namespace=False
    )
