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
    """The error left when the sub-layer before a unit is refitted to give the unit's output.

    That is the MLP of the block before, for a block. One pass and one least-squares problem a unit;
    the first one, which has none before it, is never chosen. The clips are of all windows of the
    ranking.
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

    def parts(self, videos: int, candidates: int) -> tuple[int, str]:
        """Of the clips of the one walk through the model."""
        from tad_blockdrop.compression.refitting import shares

        return shares(videos)

    def refits(self, blocks: int, candidates: int) -> int:
        """Every block before another."""
        return blocks - 1

    def passes(self, candidates: int) -> int:
        """None: candidates are not run."""
        return 0

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """On clips that were not fitted on; NaN for the first unit."""
        from tad_blockdrop.compression.repair import calibration_clips, gap_errors

        clips = calibration_clips(model, candidates.batches, candidates.repair.clips)
        units = [unit for skip in candidates.skips for unit in skip]
        errors = gap_errors(model, clips, candidates.repair, units, candidates.group)
        found = {skip: errors.get(unit, math.nan) for skip in candidates.skips for unit in skip}
        return {skip: found.get(skip, 0.0) for skip in candidates.skips}
