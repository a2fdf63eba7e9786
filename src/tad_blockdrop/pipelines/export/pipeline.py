"""Checkpoint -> ONNX, torch.export and sidecar, checked against PyTorch, then timed."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.export import nodes
from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.shared import model_used


def create_pipeline(from_folder: bool) -> Pipeline:
    """``from_folder``: whether the model is that of ``export.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``.
    """
    chosen, read = model_used("export", from_folder)
    model = "export_source"
    first, exported = "baseline_checkpoint", ["exported_model", "exported_uncompressed"]
    if from_folder:
        inputs = [chosen, first, "params:export"]
        chosen = "comparable_checkpoint"
        read.append(node(nodes.require_comparable, inputs, chosen))
    return stage(
        "export",
        *read,
        node(nodes.state_provenance, [chosen, "params:data"], model),
        node(nodes.export_models, [model, first, "params:export"], exported),
        node(
            nodes.check_export,
            [exported[0], model, "evaluator", "params:export"],
            ["export", "export_parity"],
        ),
        node(
            nodes.time_exports,
            ["export", exported[1], model, first, "params:export"],
            "export_latency",
        ),
    )
