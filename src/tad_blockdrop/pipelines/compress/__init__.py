"""The loop: score, drop, align, merge, evaluate; once per block to remove."""

from tad_blockdrop.pipelines.compress.pipeline import (
    create_control_pipeline,
    create_models_pipeline,
    create_pipeline,
    create_results_pipeline,
)

__all__ = [
    "create_control_pipeline",
    "create_models_pipeline",
    "create_pipeline",
    "create_results_pipeline",
]
