"""A finished model as files for other programs."""

from tad_blockdrop.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
