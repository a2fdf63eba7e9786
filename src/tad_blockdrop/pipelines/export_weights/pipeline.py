"""One node: a checkpoint in, a folder for other programs out."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.export_weights import nodes
from tad_blockdrop.pipelines.graph import node


def create_pipeline(checkpoint: str = "final_checkpoint") -> Pipeline:
    """``checkpoint`` (a catalog entry) -> ``public_weights``."""
    return Pipeline([node(nodes.export_weights, checkpoint, "public_weights")])
