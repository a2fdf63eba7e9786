"""Any videos -> detections as a table and as JSON, a page of timelines, copies drawn upon."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.predict import nodes


def create_pipeline(from_folder: bool) -> Pipeline:
    """``from_folder``: whether the model is that of ``predict.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``.
    """
    model = "predict_checkpoint" if from_folder else "final_checkpoint"
    read = [node(nodes.read_folder, "params:predict", model)] if from_folder else []
    work = ["params:predict", "params:data", "params:runtime"]
    results = ["predictions", "predicted_videos"]
    return stage(
        "predict",
        *read,
        node(nodes.detect_actions, [model, *work], results),
        node(nodes.write_results, results, ["predictions_csv", "predictions_json"]),
        node(nodes.plot_timelines, [*results, model], "predictions_page"),
        node(nodes.draw_videos, [*results, model, *work], "drawn_videos"),
    )
