"""The uncompressed model: trained, or taken from what is given, which is looked for first."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.baseline import nodes
from tad_blockdrop.pipelines.graph import node, stage


def create_pipeline() -> Pipeline:
    """``evaluator`` -> ``baseline_checkpoint``, ``baseline_history``."""
    parameters = [
        f"params:{name}"
        for name in ("baseline", "detector", "data", "compress", "runtime", "evaluation")
    ]
    return stage(
        "baseline",
        node(nodes.find_given, parameters, "baseline_settings"),
        node(
            nodes.make_baseline,
            ["evaluator", "scratch", "params:detector", "baseline_settings", "params:compress"],
            ["baseline_history", "baseline_checkpoint"],
        ),
    )
