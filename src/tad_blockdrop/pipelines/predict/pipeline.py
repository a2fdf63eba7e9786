"""Any videos -> detections in the formats asked for, a page of timelines, copies drawn upon."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.predict import nodes


def create_pipeline(from_folder: bool, formats: Sequence[str] = ("csv", "activitynet")) -> Pipeline:
    """``from_folder``: whether the model is that of ``predict.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``. ``formats``: ``predict.formats``.
    """
    model = "predict_checkpoint" if from_folder else "final_checkpoint"
    read = Node(
        nodes.read_folder,
        inputs="params:predict",
        outputs="predict_checkpoint",
        name="read_folder",
    )
    results = ["predictions", "predicted_videos"]
    rest = [
        Node(
            nodes.detect_actions,
            inputs=[model, "params:predict", "params:data", "params:runtime"],
            outputs=results,
            name="detect_actions",
        ),
        Node(
            nodes.plot_timelines,
            inputs=[*results, model],
            outputs="predictions_page",
            name="plot_timelines",
        ),
        Node(
            nodes.draw_videos,
            inputs=[*results, model, "params:predict", "params:data", "params:runtime"],
            outputs="drawn_videos",
            name="draw_videos",
        ),
    ]
    if "csv" in formats:
        rest.append(
            Node(
                nodes.write_table,
                inputs="predictions",
                outputs="predictions_csv",
                name="write_table",
            )
        )
    if "activitynet" in formats:
        rest.append(
            Node(
                nodes.write_activitynet,
                inputs=results,
                outputs="predictions_json",
                name="write_activitynet",
            )
        )
    if not {"csv", "activitynet"}.issuperset(formats):
        rest.append(
            Node(
                nodes.write_tool_files,
                inputs=[*results, "params:predict", "params:data"],
                outputs="prediction_files",
                name="write_tool_files",
            )
        )
    return Pipeline(
        ([read] if from_folder else []) + rest,
        namespace="predict",
        prefix_datasets_with_namespace=False,
    )
