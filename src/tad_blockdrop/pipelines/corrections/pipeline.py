"""Annotations and corrections -> one annotations file, a version each time."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.corrections import nodes
from tad_blockdrop.pipelines.graph import node, stage


def create_pipeline() -> Pipeline:
    """The pipeline."""
    work = ["known_annotations", "corrections", "params:data"]
    return stage("corrections", node(nodes.merge_corrections, work, "corrected_annotations"))
