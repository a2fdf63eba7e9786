"""One node: a file in, a checkpoint and a report out."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.import_weights import nodes


def create_pipeline() -> Pipeline:
    """``params:import_weights`` -> ``imported_checkpoint``, ``import_report``."""
    return Pipeline(
        [
            Node(
                nodes.import_weights,
                inputs=[
                    "params:import_weights", "params:data", "params:detector",
                    "params:evaluation", "params:runtime",
                ],
                outputs=["import_report", "imported_checkpoint"],
                name="import_weights",
            )
        ]
    )  # fmt: skip
