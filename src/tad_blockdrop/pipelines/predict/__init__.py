"""Detections on any videos with a finished model."""

from tad_blockdrop.pipelines.predict.pipeline import create_pipeline

__all__ = ["create_pipeline"]
