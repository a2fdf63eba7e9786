"""Two nodes, one per layout."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.export_weights import nodes


def create_pipeline(checkpoint: str = "final_checkpoint") -> Pipeline:
    """``checkpoint`` (a catalog entry) -> ``opentad_weights``, ``transformers_*``."""
    return Pipeline(
        [
            Node(
                nodes.export_opentad,
                inputs=checkpoint,
                outputs="opentad_weights",
                name="export_opentad",
            ),
            Node(
                nodes.export_transformers,
                inputs=checkpoint,
                outputs=["transformers_weights", "transformers_config"],
                name="export_transformers",
            ),
        ]
    )
