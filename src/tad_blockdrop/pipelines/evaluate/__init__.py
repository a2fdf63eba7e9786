"""Models that the loop is compared with, and what every model costs."""

from tad_blockdrop.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
