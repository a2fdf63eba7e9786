"""Two finished experiments side by side."""

from tad_blockdrop.pipelines.compare.pipeline import create_pipeline

__all__ = ["create_pipeline"]
