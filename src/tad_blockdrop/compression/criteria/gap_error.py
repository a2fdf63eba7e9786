"""A cheap criterion for models that are repaired: what the block before cannot take over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class GapError(Criterion):
    """The error left when the MLP of the block before is refitted to give the block's output.

    One pass and one least-squares problem a block; the first block, which has none before it, is
    never chosen.
    """

    name = "gap_error"
    title = "what a repair cannot put back"
    explanation = (
        "What remains of the block's change after the block before was refitted to do it, "
        "relative to the size of the tokens; the block with the lowest is dropped."
    )
    larger_is_better = False
    looks_ahead = False
    repairs = True

    def refits(self, blocks: int, candidates: int) -> int:
        """Every block before another."""
        return blocks - 1

    def passes(self, candidates: int) -> int:
        """None: candidates are not run."""
        return 0

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """On clips that were not fitted on; NaN for the first block."""
        from tad_blockdrop.compression.repair import calibration_clips, gap_errors

        clips = calibration_clips(model, candidates.loader, candidates.repair.clips)
        errors = gap_errors(model, clips, candidates.repair)
        return {skip: errors.get(min(skip), math.nan) for skip in candidates.skips}
