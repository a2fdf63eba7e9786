"""What rates a unit by its own input and output: one pass for all of them, none left out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from torch import Tensor

    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class ChangeCriterion(Criterion):
    """The mean of :meth:`change` over all tokens; the block that changes least is dropped."""

    larger_is_better = False
    looks_ahead = False

    @abstractmethod
    def change(self, tokens: Tensor, out: Tensor) -> Tensor:
        """How a unit changed tokens (n, n_tokens, width); the result is averaged."""

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """Mean over all tokens, per unit."""
        import torch

        from tad_blockdrop.compression.criteria.gathering import Sums, candidate_batches
        from tad_blockdrop.compression.skipping import Skip
        from tad_blockdrop.detector.units import SubLayer
        from tad_blockdrop.runtime.devices import for_double

        sums = Sums(candidates.skips)
        for batch in candidate_batches(model, candidates, sums):
            for window in torch.split(batch.frames[batch.own], 1):
                tokens = model.backbone.embed(window)
                for index in model.kept_blocks:
                    mid, out = model.run_block(index, tokens)
                    for unit, before, after in (
                        (index, tokens, out),
                        (SubLayer(index, "attention"), tokens, mid),
                        (SubLayer(index, "mlp"), mid, out),
                    ):
                        if (skip := Skip({unit})) in sums.parts:
                            change = for_double(self.change(before, after))
                            sums.add(skip, float(change.sum(dtype=torch.float64)))
                    tokens = out
                if (nothing := Skip()) in sums.parts:
                    sums.add(nothing, 0.0)
                sums.count += change.numel()
        return sums.means()
