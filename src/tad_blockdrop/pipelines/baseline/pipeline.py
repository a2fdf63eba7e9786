"""The uncompressed model: trained, or taken from what is given, which is looked for first."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.baseline import nodes


def create_pipeline() -> Pipeline:
    """``evaluator`` -> ``baseline_checkpoint``, ``baseline_history``."""
    return Pipeline(
        [
            Node(
                nodes.find_given,
                inputs=["params:baseline", "params:detector", "params:data", "params:compress"],
                outputs="baseline_settings",
                name="find_given",
            ),
            Node(
                nodes.make_baseline,
                inputs=["evaluator", "scratch", "params:detector", "baseline_settings"],
                outputs=["baseline_history", "baseline_checkpoint"],
                name="make_baseline",
            ),
        ],
        namespace="baseline",
        prefix_datasets_with_namespace=False,
    )
