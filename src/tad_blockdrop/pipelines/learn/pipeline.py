"""Annotations, corrections and a model -> a model that has learned from them, judged and adopted.

A round that was cut goes on when it is run again: training from its last whole epoch.
"""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.data.nodes import extract_frames
from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.learn import nodes
from tad_blockdrop.pipelines.shared import make_evaluator, model_used


def create_pipeline(from_folder: bool) -> Pipeline:
    """``from_folder``: whether the model to start from is that of ``learn.checkpoint``.

    Otherwise it is the experiment's ``final_checkpoint``, of which the last node writes a version.
    """
    before, read = model_used("learn", from_folder, otherwise="model_before")
    settings = ["params:data", "params:runtime"]
    return stage(
        "learn",
        *read,
        node(
            nodes.refuse_unlearnable,
            [before, "dataset", "corrections", "params:learn", "params:data"],
            "learnable",
        ),
        node(
            nodes.join_statements,
            [
                "dataset", "video_facts", "corrected_annotations", "learnable", "reviewed",
                "params:data",
            ],
            "statements",
        ),
        node(
            nodes.gather,
            [before, "statements", "scratch", *settings],
            ["gathered", "learned_problems"],
        ),
        node(
            nodes.refuse_fatal_problems,
            ["gathered", "learned_problems", "corrections", "params:learn", "params:experiment"],
            ["known_videos", "new_videos"],
        ),
        node(extract_frames, ["new_videos", *settings], "new_frames"),
        node(
            nodes.join_videos,
            ["known_videos", "new_videos", "new_frames", "params:data"],
            "learning_dataset",
        ),
        node(
            make_evaluator,
            ["learning_dataset", "params:data", "params:evaluation", "params:runtime"],
            "learning_evaluator",
        ),
        node(
            nodes.learn_again,
            [
                before, "learning_evaluator", "scratch", "params:learn", "params:baseline",
                "params:detector",
            ],
            ["learned_history", "learned"],
        ),
        node(
            nodes.judge,
            [
                before, "learned", "learning_evaluator", "scratch", "params:learn", "corrections",
            ],
            ["learned_comparison", "learned_outcome", "learned_checkpoint", "final_checkpoint"],
        ),
        node(
            nodes.annotate_next,
            ["reviewed", "corrections", "learning_evaluator"],
            "annotate_next",
        ),
    )  # fmt: skip
