"""Data: (generate) -> probe -> check -> extract frames -> tables that all later stages read."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.data import nodes
from tad_blockdrop.pipelines.graph import node, stage


def create_pipeline(synthetic: bool) -> Pipeline:
    """``synthetic``: whether the raw videos are generated here or were put there by the user."""
    work = ["accepted_dataset", "params:data", "params:runtime"]
    return create_validation_pipeline(synthetic) + stage(
        "data",
        node(nodes.extract_frames, work, "proxies"),
        node(
            nodes.index_frames,
            ["accepted_dataset", "proxies", "params:data"],
            ["dataset", "frame_problems"],
        ),
    )


def create_validation_pipeline(synthetic: bool) -> Pipeline:
    """The first half: every problem and a summary, before any real work."""
    raw = ["raw_videos", "raw_annotations"]
    generate = [node(nodes.generate_benchmark, "params:synthetic", raw)] if synthetic else []
    return stage(
        "data",
        *generate,
        # Only a table of facts would be taken from disk by a run that goes on after the user has
        # replaced an unreadable video; `unreadable` is never stored.
        node(
            nodes.probe_videos,
            ["raw_annotations", "raw_videos", "scratch", "params:data", "params:runtime"],
            ["video_facts", "unreadable"],
        ),
        node(
            nodes.check_dataset,
            [
                "raw_annotations",
                "video_facts",
                "unreadable",
                "params:data",
                "params:evaluation",
                "params:compress",
            ],
            ["checked_dataset", "problems"],
        ),
        node(
            nodes.refuse_fatal_problems,
            ["problems", "checked_dataset", "params:experiment"],
            "accepted_dataset",
        ),
        node(
            nodes.summarise_dataset,
            ["accepted_dataset", "checked_dataset", "params:data", "params:detector"],
            "dataset_summary",
        ),
    )
