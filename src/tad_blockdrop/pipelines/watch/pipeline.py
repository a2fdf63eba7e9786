"""A live source -> a line for each detection."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.shared import model_used
from tad_blockdrop.pipelines.watch import nodes


def create_pipeline(from_folder: bool, line_format: str = "csv") -> Pipeline:
    """``from_folder``: whether the model is that of ``watch.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``. ``line_format``: ``watch.format``.
    """
    model, read = model_used("watch", from_folder)
    inputs = [model, "params:watch", "params:runtime"]
    return stage("watch", *read, node(nodes.watch_source, inputs, f"watched_{line_format}"))
