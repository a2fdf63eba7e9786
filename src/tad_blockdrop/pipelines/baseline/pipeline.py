"""One node, which either trains or takes what it is given."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.baseline import nodes


def create_pipeline() -> Pipeline:
    """``videos``, ``instances``, ``classes`` -> ``baseline_checkpoint``, ``baseline_history``."""
    return Pipeline(
        [
            Node(
                nodes.make_baseline,
                inputs=[
                    "videos", "instances", "classes", "baseline_scratch", "params:data",
                    "params:detector", "params:baseline", "params:evaluation", "params:runtime",
                ],
                outputs=["baseline_history", "baseline_checkpoint"],
                name="make_baseline",
            )
        ],
        namespace="baseline",
        prefix_datasets_with_namespace=False,
    )  # fmt: skip
