"""Any videos -> detections as a table and as JSON, pages that play, copies drawn upon."""

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
        node(nodes.describe_model, model, "predicted_with"),
        node(nodes.find_truth, ["predicted_videos", "known_annotations"], "predicted_truth"),
        node(
            nodes.copy_for_browsers,
            ["predicted_videos", "params:data", "params:runtime"],
            "playable_videos",
        ),
        node(
            nodes.write_pages,
            [*results, "predicted_with", "predicted_truth", "playable_videos"],
            "predictions_page",
        ),
        node(nodes.draw_videos, [*results, model, *work], "drawn_videos"),
    )
