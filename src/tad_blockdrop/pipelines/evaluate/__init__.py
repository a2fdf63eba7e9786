"""Models that the loop is compared with, and what every model costs."""

from tad_blockdrop.pipelines.evaluate.pipeline import create_pipeline, create_references_pipeline

__all__ = ["create_pipeline", "create_references_pipeline"]
