"""Tables, plots and one HTML file that show what the compression did."""

from tad_blockdrop.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
