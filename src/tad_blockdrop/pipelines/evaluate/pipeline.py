"""The uncompressed model and the one-shot reference on the test videos; costs of all models."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.compress.nodes import evaluate_step
from tad_blockdrop.pipelines.evaluate import nodes

DATASET = ["videos", "instances", "classes"]


def create_pipeline() -> Pipeline:
    """Test metrics of the references, and ``cost_table``."""
    return Pipeline(
        [
            Node(
                evaluate_step,
                inputs=[
                    "baseline_checkpoint", *DATASET, "scratch",
                    "params:data", "params:evaluation", "params:runtime",
                ],
                outputs=["baseline_detections", "baseline_metrics", "baseline_evaluate_seconds"],
                name="evaluate_baseline",
            ),
            Node(
                nodes.evaluate_one_shot,
                inputs=[
                    "baseline_checkpoint", "score_table", *DATASET, "scratch",
                    "params:data", "params:compress", "params:evaluation", "params:report",
                    "params:runtime",
                ],
                outputs=["one_shot_detections", "one_shot_metrics"],
                name="evaluate_one_shot",
            ),
            Node(
                nodes.measure_costs,
                inputs=[
                    "baseline_checkpoint", "step_checkpoints", "step_seconds",
                    "params:evaluation", "params:runtime",
                ],
                outputs="cost_table",
                name="measure_costs",
            ),
        ],
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )  # fmt: skip
