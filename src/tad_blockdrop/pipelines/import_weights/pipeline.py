"""One node: a file in, a checkpoint and a report out."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.graph import node
from tad_blockdrop.pipelines.import_weights import nodes


def create_pipeline() -> Pipeline:
    """``params:import_weights`` -> ``imported_checkpoint``, ``import_report``."""
    keys = ("import_weights", "data", "detector", "evaluation", "runtime")
    parameters = [f"params:{key}" for key in keys]
    return Pipeline(
        [node(nodes.import_weights, parameters, ["import_report", "imported_checkpoint"])]
    )
