"""Checkpoint -> ONNX, torch.export and sidecar, checked against PyTorch, then timed."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.export import nodes


def create_pipeline(from_folder: bool) -> Pipeline:
    """``from_folder``: whether the model is that of ``export.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``.
    """
    model = "export_checkpoint" if from_folder else "final_checkpoint"
    read = Node(
        nodes.read_folder, inputs="params:export", outputs="export_checkpoint", name="read_folder"
    )
    rest = [
        Node(nodes.export_model, inputs=model, outputs="exported_model", name="export_model"),
        Node(
            nodes.check_export,
            inputs=["exported_model", model, "evaluator", "params:export"],
            outputs=["export", "export_parity"],
            name="check_export",
        ),
        Node(
            nodes.export_model,
            inputs="baseline_checkpoint",
            outputs="exported_uncompressed",
            name="export_uncompressed",
        ),
        Node(
            nodes.time_exports,
            inputs=[
                "exported_model", "exported_uncompressed", model, "baseline_checkpoint",
                "params:export",
            ],
            outputs="export_latency",
            name="time_exports",
        ),
    ]  # fmt: skip
    return Pipeline(
        ([read] if from_folder else []) + rest,
        namespace="export",
        prefix_datasets_with_namespace=False,
    )
