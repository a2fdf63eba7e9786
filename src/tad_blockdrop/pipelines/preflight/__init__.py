"""Before a long job: is everything there, does it fit, and how long will it take."""

from tad_blockdrop.pipelines.preflight.pipeline import create_pipeline

__all__ = ["create_pipeline"]
