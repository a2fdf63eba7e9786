"""The cheapest criterion: how little the block changes its input (docs/method.md §4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class BlockMse(Criterion):
    """The mean squared difference of the block's output and input; one pass rates all blocks."""

    name = "block_mse"
    title = "change of the block's input"
    explanation = (
        "How much the block changes its input (mean squared error); the block with "
        "the lowest is dropped."
    )
    larger_is_better = False
    looks_ahead = False

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """Mean over all tokens, per block."""
        import torch

        from tad_blockdrop.compression.skipping import Skip, Sums, candidate_batches

        sums = Sums([Skip({index}) for index in model.kept_blocks])
        for batch in candidate_batches(model, candidates, sums):
            for window in torch.split(batch.frames, 1):
                tokens = model.backbone.embed(window)
                sums.count += tokens.numel()
                for index in model.kept_blocks:
                    out = model.run_block(index, tokens)[1]
                    change = (out - tokens).square().sum(dtype=torch.float64)
                    sums.of[Skip({index})] += float(change)
                    tokens = out
        return sums.means()
