"""A cheaper criterion: the loss of the model without the block (docs/method.md §4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class TrainLoss(Criterion):
    """The supervised loss of one batch that would hold every input."""

    name = "train_loss"
    title = "loss without the block"
    explanation = (
        "The loss on training videos without the block; the block with the lowest is dropped."
    )
    larger_is_better = False

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """The sum over all batches divided by the number of targets in all of them."""
        from tad_blockdrop.compression.criteria.gathering import Sums, candidate_batches
        from tad_blockdrop.compression.skipping import skipped_outputs

        sums = Sums(candidates.skips)
        loss = candidates.task.loss().to(model.device)
        for batch in candidate_batches(model, candidates, sums):
            if batch.own.start:
                continue  # it begins with a video of another process, which takes the batch
            outputs = skipped_outputs(model, batch.frames, batch.mask, candidates.skips)
            for skip, output in zip(candidates.skips, outputs, strict=True):
                supervised = loss(output, batch, training=False)
                count = int(supervised.count)
                sums.add(skip, float(sum(supervised.terms.values())) * max(count, 1))
            sums.count += count
        return sums.means()
