"""The uncompressed model and the one-shot reference on the test videos; costs of all models."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.evaluate import nodes
from tad_blockdrop.pipelines.shared import evaluate_model


def create_pipeline() -> Pipeline:
    """Test metrics of the references, and ``cost_table``."""
    return Pipeline(
        [
            Node(
                evaluate_model,
                inputs=["baseline_checkpoint", "evaluator", "scratch"],
                outputs=["baseline_detections", "baseline_metrics"],
                name="evaluate_baseline",
            ),
            Node(
                nodes.evaluate_one_shot,
                inputs=[
                    "baseline_checkpoint", "score_table", "evaluator", "scratch",
                    "params:compress", "params:report",
                ],
                outputs=["one_shot_detections", "one_shot_metrics"],
                name="evaluate_one_shot",
            ),
            Node(
                nodes.measure_costs,
                inputs=["baseline_checkpoint", "step_checkpoints", "node_seconds", "evaluator"],
                outputs="cost_table",
                name="measure_costs",
            ),
        ],
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )  # fmt: skip


def create_references_pipeline() -> Pipeline:
    """The tables of the references, joined in memory: inputs of the report."""
    tables = ("detections", "metrics")
    return Pipeline(
        [
            Node(
                nodes.collect_references,
                inputs=[
                    "baseline_history",
                    *(f"{model}_{t}" for model in ("baseline", "one_shot") for t in tables),
                ],
                outputs="reference_results",
                name="collect_references",
            )
        ],
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )
