"""The uncompressed model and the one-shot reference on the test videos; costs of all models."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.evaluate import nodes
from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.shared import evaluate_model

BASELINE = ["baseline_detections", "baseline_metrics"]
ONE_SHOT = ["one_shot_detections", "one_shot_metrics"]


def create_pipeline() -> Pipeline:
    """Test metrics of the references, and ``cost_table``."""
    work = ["evaluator", "scratch"]
    return stage(
        "evaluate",
        node(evaluate_model, ["baseline_checkpoint", *work], BASELINE, "evaluate_baseline"),
        node(
            nodes.evaluate_one_shot,
            ["baseline_checkpoint", "score_table", *work, "params:compress", "params:report"],
            ONE_SHOT,
        ),
        node(
            nodes.measure_costs,
            ["baseline_checkpoint", "step_checkpoints", "node_seconds", "evaluator"],
            "cost_table",
        ),
    )


def create_references_pipeline() -> Pipeline:
    """The tables of the references, joined in memory: inputs of the report."""
    tables = ["baseline_history", *BASELINE, *ONE_SHOT]
    return stage("evaluate", node(nodes.collect_references, tables, "reference_results"))
