"""The cheapest criterion: how little the block changes its input (docs/method.md §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.change import ChangeCriterion

if TYPE_CHECKING:
    from torch import Tensor


class BlockMse(ChangeCriterion):
    """The mean squared difference of the block's output and input; one pass rates all blocks."""

    name = "block_mse"
    title = "change of the block's input"
    explanation = (
        "How much the block changes its input (mean squared error); the block with "
        "the lowest is dropped."
    )

    def change(self, tokens: Tensor, out: Tensor) -> Tensor:
        """Squares, by channel."""
        return (out - tokens).square()
