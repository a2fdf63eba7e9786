"""Criteria that repair each candidate first, and rate what a user would get."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

from tad_blockdrop.compression.criteria.contract import Candidates, Criterion

if TYPE_CHECKING:
    from torch import Tensor

    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel


class RepairedCriterion(Criterion):
    """Every candidate becomes a model of its own, repaired as ``compress.repair`` says.

    Its clips are taken from all windows of the ranking.
    """

    repairs = True
    reads_all = True

    def parts(self, videos: int, candidates: int) -> tuple[int, str]:
        """By candidates, each of which is repaired."""
        return candidates, "candidates"

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """What :meth:`rate` says of each, one after the other; finished ones are kept on disk.

        The processes of a group rate some of them each.
        """
        import torch

        from tad_blockdrop.compression.repair import calibration_clips, repair_model
        from tad_blockdrop.parallel.group import share_of
        from tad_blockdrop.runtime.progress import progress
        from tad_blockdrop.storage.resumable import read_state
        from tad_blockdrop.storage.resumable_pass import save_state

        clips = calibration_clips(model, candidates.loader, candidates.repair.clips)
        scratch, group = candidates.scratch, candidates.group
        mine = share_of(len(candidates.skips), group.rank, group.world)
        skips = [candidates.skips[place] for place in mine]
        values, done = [math.nan] * len(skips), 0
        if scratch and (state := read_state(scratch.file, scratch.mark, "scoring blocks")):
            values, done = state[0]["values"].tolist(), state[1]["done"]
        left = skips[done:]
        for place, skip in enumerate(progress(left, "scoring blocks", len(left)), start=done):
            shorter = deepcopy(model)
            for unit in skip:
                shorter.backbone.drop(unit)
            repair_model(shorter, candidates.teacher, clips, candidates.repair)
            values[place] = self.rate(shorter, candidates, clips)
            if scratch:
                kept = {"values": torch.tensor(values, dtype=torch.float64)}
                save_state(scratch, kept, {"done": place + 1})
        found = group.gather({"values": torch.tensor(values, dtype=torch.float64)})
        every = torch.cat([part["values"] for part in found]).tolist()
        return dict(zip(candidates.skips, every, strict=True))

    @abstractmethod
    def rate(self, repaired: BlockModel, candidates: Candidates, clips: Tensor) -> float:
        """The value of a repaired candidate; ``clips`` are those that it was repaired on."""


class RepairedFeatures(RepairedCriterion):
    """How far the repaired model's pooled features are from those of the uncompressed model."""

    name = "repaired_features"
    title = "feature error after repair"
    explanation = (
        "How far the repaired model's features are from those of the uncompressed model, relative "
        "to how much these vary; the block with the lowest error is dropped."
    )
    larger_is_better = False

    def passes(self, candidates: int) -> int:
        """None but over the few clips that judge refits."""
        return 0

    def rate(self, repaired: BlockModel, candidates: Candidates, clips: Tensor) -> float:
        """On the clips that judge refits, on which none was fitted."""
        from tad_blockdrop.compression.refitting import fitted_clips
        from tad_blockdrop.compression.repair import feature_error

        judging = clips[fitted_clips(len(clips)) :]
        return feature_error(repaired, candidates.teacher, judging)


class RepairedMap(RepairedCriterion):
    """The task's metric of the repaired model on training videos."""

    name = "repaired_map"
    title = "mAP after repair, %"
    explanation = (
        "The mAP on training videos of the model without the block, repaired; the block with the "
        "highest is dropped."
    )
    larger_is_better = True
    by_metric = True

    def rate(self, repaired: BlockModel, candidates: Candidates, clips: Tensor) -> float:
        """In percent; NaN where the output is not finite."""
        from tad_blockdrop.tasks.contract import OutputError

        metric = candidates.task.metric()
        for batch in candidates.loader:
            there = batch.to(repaired.device)
            try:
                metric.add(there, repaired(there.frames, there.mask))
            except OutputError:
                return math.nan
        return metric.value()
