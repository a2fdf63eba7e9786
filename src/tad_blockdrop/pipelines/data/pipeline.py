"""Data: (generate) -> probe -> check -> extract frames -> tables that all later stages read."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.data import nodes


def create_pipeline(synthetic: bool) -> Pipeline:
    """``synthetic``: whether the raw videos are generated here or were put there by the user."""
    generate = Node(
        nodes.generate_benchmark,
        inputs=["params:synthetic", "params:runtime"],
        outputs=["raw_videos", "raw_annotations"],
        name="generate_benchmark",
    )
    checked = [
        Node(
            nodes.probe_videos,
            inputs=["raw_annotations", "raw_videos", "params:data", "params:runtime"],
            outputs="video_facts",
            name="probe_videos",
        ),
        Node(
            nodes.check_dataset,
            inputs=["raw_annotations", "video_facts", "params:data", "params:runtime"],
            outputs=["videos_checked", "instances", "classes", "problems"],
            name="check_dataset",
        ),
        Node(
            nodes.refuse_fatal_problems,
            inputs=["problems", "videos_checked"],
            outputs="videos_accepted",
            name="refuse_fatal_problems",
        ),
        Node(
            nodes.extract_frames,
            inputs=["videos_accepted", "params:data", "params:runtime"],
            outputs="proxies",
            name="extract_frames",
        ),
        Node(
            nodes.index_frames,
            inputs=["videos_accepted", "proxies", "params:data"],
            outputs="videos",
            name="index_frames",
        ),
        Node(
            nodes.summarise_dataset,
            inputs=["videos", "instances", "params:data", "params:detector"],
            outputs="dataset_summary",
            name="summarise_dataset",
        ),
    ]
    return Pipeline(
        ([generate] if synthetic else []) + checked,
        namespace="data",
        prefix_datasets_with_namespace=False,
    )
