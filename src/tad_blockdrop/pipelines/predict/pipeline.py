"""Any videos -> detections in the formats asked for, pages that play, copies drawn upon."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.predict import nodes
from tad_blockdrop.pipelines.shared import model_used


def create_pipeline(from_folder: bool, formats: Sequence[str] = ("csv", "activitynet")) -> Pipeline:
    """``from_folder``: whether the model is that of ``predict.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``. ``formats``: ``predict.formats``.
    """
    model, read = model_used("predict", from_folder)
    work = ["params:predict", "params:data", "params:runtime"]
    results = ["predictions", "predicted_videos"]
    plain = {
        "csv": node(nodes.write_table, "predictions", "predictions_csv"),
        "activitynet": node(nodes.write_activitynet, results, "predictions_json"),
    }
    written = [each for name, each in plain.items() if name in formats]
    if not plain.keys() >= set(formats):
        settings = ["params:predict", "params:data"]
        written.append(node(nodes.write_tool_files, [*results, *settings], "prediction_files"))
    return stage(
        "predict",
        *read,
        node(nodes.detect_actions, [model, *work], results),
        *written,
        node(nodes.describe_model, [model, "params:predict"], "predicted_with"),
        node(
            nodes.find_truth,
            ["predicted_videos", "known_annotations", "params:data"],
            "predicted_truth",
        ),
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
