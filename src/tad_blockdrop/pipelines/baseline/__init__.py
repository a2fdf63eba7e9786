"""The uncompressed model: fine-tuned here, or taken from a checkpoint."""

from tad_blockdrop.pipelines.baseline.pipeline import create_pipeline

__all__ = ["create_pipeline"]
