"""Any videos -> detections as a table and as JSON, a page of timelines, copies drawn upon."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.predict import nodes


def create_pipeline(from_folder: bool) -> Pipeline:
    """``from_folder``: whether the model is that of ``predict.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``.
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
            nodes.write_results,
            inputs=results,
            outputs=["predictions_csv", "predictions_json"],
            name="write_results",
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
    return Pipeline(
        ([read] if from_folder else []) + rest,
        namespace="predict",
        prefix_datasets_with_namespace=False,
    )
