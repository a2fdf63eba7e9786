"""Two nodes, one per layout."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.export_weights import nodes
from tad_blockdrop.pipelines.graph import node


def create_pipeline(checkpoint: str = "final_checkpoint") -> Pipeline:
    """``checkpoint`` (a catalog entry) -> ``opentad_weights``, ``transformers_*``."""
    transformers = ["transformers_weights", "transformers_config"]
    return Pipeline(
        [
            node(nodes.export_opentad, checkpoint, "opentad_weights"),
            node(nodes.export_transformers, checkpoint, transformers),
        ]
    )
