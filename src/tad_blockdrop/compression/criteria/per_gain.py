"""Any criterion, held against what a unit saves of the measure of ``compress.target``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion
from tad_blockdrop.config.target import TargetConfig

if TYPE_CHECKING:
    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class PerGain(Criterion):
    """How much worse the criterion becomes, for each percent that is gained.

    Where it becomes no worse, the product takes the place of the quotient, so that of units that
    cost nothing the one that gains most comes first.
    """

    larger_is_better = False

    def __init__(self, criterion: Criterion, target: TargetConfig) -> None:
        self.criterion = criterion
        self.name = f"{criterion.name}/{target.measure}"
        self.title = f"{criterion.title}: change for the worse per % of {target.measure}"
        self.explanation = (
            f"The change for the worse in “{criterion.title}”, for each percent of the "
            f"uncompressed model's {target.measure} that is gained; the lowest is dropped."
        )
        self.looks_ahead, self.repairs = criterion.looks_ahead, criterion.repairs
        self.reads_all, self.by_metric = criterion.reads_all, criterion.by_metric

    def parts(self, videos: int, candidates: int) -> tuple[int, str]:
        """Those of the criterion."""
        return self.criterion.parts(videos, candidates)

    def refits(self, blocks: int, candidates: int) -> int:
        """Those of the criterion, which also rates the model as it is."""
        return self.criterion.refits(blocks, candidates + 1)

    def passes(self, candidates: int) -> int:
        """Those of the criterion, which also rates the model as it is."""
        return self.criterion.passes(candidates + 1)

    def checked_score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """Prices may all be 0; what is checked is what they are made of."""
        return self.score(model, candidates)

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """NaN for what gains nothing; where nothing does, which is noise, all gain alike."""
        import math

        from tad_blockdrop.compression.skipping import Skip

        nothing = Skip()
        given = replace(candidates, skips=[nothing, *candidates.skips])
        values = self.criterion.checked_score(model, given)
        gains = candidates.gains
        if not any(gain > 0 for gain in gains.values()):
            gains = {}
        sign = -1.0 if self.criterion.larger_is_better else 1.0

        def price(skip: Skip) -> float:
            worse = sign * (values[skip] - values[nothing])
            gain = sum(gains.get(unit, 1.0) for unit in skip)
            if gain <= 0:
                return math.nan
            return worse / gain if worse > 0 else worse * gain

        return {skip: price(skip) for skip in candidates.skips}
