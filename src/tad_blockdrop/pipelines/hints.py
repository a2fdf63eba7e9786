"""Types that nodes name without loading them: Kedro resolves hints at start-up, before torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from tad_blockdrop.detections.evaluation import Evaluator
    from tad_blockdrop.reporting.findings import Findings
    from tad_blockdrop.reporting.pages.report import Figures, RunFacts
    from tad_blockdrop.video.dataset import Dataset
else:
    Dataset = Evaluator = Figure = Figures = Findings = RunFacts = Any

__all__ = ["Dataset", "Evaluator", "Figure", "Figures", "Findings", "RunFacts"]
