"""From raw videos and annotations to a checked dataset of proxies and tables."""

from tad_blockdrop.pipelines.data.pipeline import create_pipeline, create_validation_pipeline

__all__ = ["create_pipeline", "create_validation_pipeline"]
