"""Data: (generate) -> probe -> check -> extract frames -> tables that all later stages read."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.data import nodes


def create_pipeline(synthetic: bool) -> Pipeline:
    """``synthetic``: whether the raw videos are generated here or were put there by the user."""
    extract = [
        Node(
            nodes.extract_frames,
            inputs=["accepted_dataset", "params:data", "params:runtime"],
            outputs="proxies",
            name="extract_frames",
        ),
        Node(
            nodes.index_frames,
            inputs=["accepted_dataset", "proxies", "params:data"],
            outputs=["dataset", "frame_problems"],
            name="index_frames",
        ),
    ]
    return create_validation_pipeline(synthetic) + _in_namespace(extract)


def create_validation_pipeline(synthetic: bool) -> Pipeline:
    """The first half: every problem and a summary, before any real work."""
    generate = Node(
        nodes.generate_benchmark,
        inputs="params:synthetic",
        outputs=["raw_videos", "raw_annotations"],
        name="generate_benchmark",
    )
    checks = [
        Node(
            nodes.probe_videos,
            inputs=[
                "raw_annotations", "raw_videos", "scratch", "params:data", "params:runtime",
            ],
            # Only a table of facts would be taken from disk by a run that goes on after the user
            # has replaced an unreadable video; `unreadable` is never stored.
            outputs=["video_facts", "unreadable"],
            name="probe_videos",
        ),
        Node(
            nodes.check_dataset,
            inputs=[
                "raw_annotations", "video_facts", "unreadable", "params:data",
                "params:evaluation",
            ],
            outputs=["checked_dataset", "problems"],
            name="check_dataset",
        ),
        Node(
            nodes.refuse_fatal_problems,
            inputs=["problems", "checked_dataset", "params:experiment"],
            outputs="accepted_dataset",
            name="refuse_fatal_problems",
        ),
        Node(
            nodes.summarise_dataset,
            inputs=["accepted_dataset", "checked_dataset", "params:data", "params:detector"],
            outputs="dataset_summary",
            name="summarise_dataset",
        ),
    ]  # fmt: skip
    return _in_namespace(([generate] if synthetic else []) + checks)


def _in_namespace(made: list[Node]) -> Pipeline:
    return Pipeline(made, namespace="data", prefix_datasets_with_namespace=False)
