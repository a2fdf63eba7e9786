"""As cheap, but blind to the size of tokens: ShortGPT's block influence (arXiv 2403.03853)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.change import ChangeCriterion

if TYPE_CHECKING:
    from torch import Tensor


class Cosine(ChangeCriterion):
    """The mean of ``1 - cos`` between the block's input and its output."""

    name = "cosine"
    title = "turn of the block's input"
    explanation = (
        "How much the block turns its input (one minus the cosine); the block with the lowest "
        "is dropped."
    )

    def change(self, tokens: Tensor, out: Tensor) -> Tensor:
        """By token."""
        from torch.nn.functional import cosine_similarity

        return 1 - cosine_similarity(tokens.float(), out.float(), dim=-1)
