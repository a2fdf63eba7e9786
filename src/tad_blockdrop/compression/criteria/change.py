"""What rates a block by its own input and output: one pass for all blocks, none left out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from torch import Tensor

    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class ChangeCriterion(Criterion):
    """The mean of :meth:`change` over all tokens; the block that changes least is dropped."""

    larger_is_better: ClassVar[bool] = False
    looks_ahead: ClassVar[bool] = False

    @abstractmethod
    def change(self, tokens: Tensor, out: Tensor) -> Tensor:
        """How a block changed tokens (n, n_tokens, width); the result is averaged."""

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """Mean over all tokens, per block."""
        import torch

        from tad_blockdrop.compression.skipping import Skip, Sums, candidate_batches

        sums = Sums([Skip({index}) for index in model.kept_blocks])
        for batch in candidate_batches(model, candidates, sums):
            for window in torch.split(batch.frames, 1):
                tokens = model.backbone.embed(window)
                for index in model.kept_blocks:
                    out = model.run_block(index, tokens)[1]
                    change = self.change(tokens, out)
                    sums.of[Skip({index})] += float(change.sum(dtype=torch.float64))
                    tokens = out
                sums.count += change.numel()
        return sums.means()
