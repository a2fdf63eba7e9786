"""Repair in closed form: what dropped blocks did is refitted into the blocks that are left.

Block by block, in order, the last layers of the attention and of the MLP are refitted by ridge
regression on the repaired student's own input, towards the state that the teacher has there and
that the next kept block expects (docs/method.md §4.5). No gradient, no label, no new parameter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from math import ceil, inf, nan, sqrt
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn

from tad_blockdrop.compression.least_squares import NormalEquations
from tad_blockdrop.compression.ranking import evaluating
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detector.backbones.contract import Backbone, Branch
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.storage.resumable import read_state, write_state
from tad_blockdrop.storage.resumable_pass import SECONDS_BETWEEN_SAVES, Scratch

HELD_OUT = 0.2  # share of the calibration clips on which refits are judged
_AT_ONCE = 2**20  # numbers (tokens times width) that go through a block together

States = list[Tensor]  # tokens (n, n_tokens, width) of some clips after the others, on the CPU


class RepairError(BlockDropError):
    """A model cannot be repaired."""


@dataclass(frozen=True)
class Refit:
    """One layer that was looked at: its branch of the block, and what became of it.

    ``before`` and ``after`` are errors of the state it leads to, on held-out clips, relative to
    the size of the teacher's state. ``ridge`` is the best of those tried; NaN where leaving the
    layer alone was better.
    """

    block: int
    branch: int
    before: float
    after: float
    ridge: float


COLUMNS = [field.name for field in fields(Refit)]


def repair_model(
    student: BlockModel,
    teacher: BlockModel,
    clips: Tensor,
    config: RepairConfig,
    scratch: Scratch | None = None,
) -> pd.DataFrame:
    """Refit ``student`` in place towards ``teacher``, which has all its blocks and maybe more.

    ``clips`` as from :func:`calibration_clips`; the last fifth judges. Runs where the
    student is, under the caller's autocast. The states between blocks are kept in main memory:
    three times ``len(clips) · n_tokens · width`` float32. With ``scratch`` a repair that was cut
    goes on. Returns a row per layer, with the fields of :class:`Refit`.

    Raises RepairError for fewer than two clips, or a backbone that cannot be repaired.
    """
    plan = refitted(student.kept_blocks, teacher.kept_blocks, config.layers)
    done = _Done(student, scratch)
    with evaluating(student), evaluating(teacher.to(student.device)):
        walk = _Walk(student, teacher, clips, config)
        for index in progress(student.kept_blocks, "repairing", len(student.kept_blocks)):
            targets = walk.expect(index)
            for branch in plan.get(index, ()):
                if (index, branch) not in done:
                    row, change = walk.fit(index, branch, targets[branch])
                    if change is not None:
                        fold(branch_end(student, index, branch), change)
                    done.add(row)
            walk.leave(index)
    return pd.DataFrame([asdict(row) for row in done.rows], columns=COLUMNS)


def gap_errors(model: BlockModel, clips: Tensor, config: RepairConfig) -> dict[int, float]:
    """What no refit of the block before it can do for each block: the error left, relative.

    The first block has none before it and is not in the result. One pass, nothing is changed.
    Arguments and errors as in :func:`repair_model`.
    """
    errors = {}
    walk = _Walk(model, model, clips, config)
    for before, index in pairwise(progress(model.kept_blocks, "fitting", len(model.kept_blocks))):
        wanted = [walk.run(index, walk.run(before, tokens)[1])[1].cpu() for tokens in walk.own]
        errors[index] = walk.fit(before, 1, wanted)[0].after
        walk.leave(before)
    return errors


def refitted(
    kept: Sequence[int], full: Sequence[int], layers: Literal["none", "gap", "all"]
) -> dict[int, tuple[int, ...]]:
    """The branches of each kept block that are refitted: 0, to the state in the middle; 1, after.

    ``full``: the teacher's blocks. ``gap``: the end of the block before each hole; ``all``: that,
    and every branch of later blocks.
    """
    plan: dict[int, tuple[int, ...]] = {}
    holed = False
    for index, following in zip(kept, [*kept[1:], inf], strict=True):
        gap = any(index < i < following for i in full)
        holed = holed or any(i < index and i not in kept for i in full)
        if layers == "all" and holed:
            plan[index] = (0, 1)
        elif layers != "none" and gap:
            plan[index] = (1,)
    return plan


def check_repairable(backbone: Backbone) -> None:
    """Raise RepairError for a backbone that has no layers to refit."""
    ends = [backbone.branches(block) for block in backbone.blocks.values()]
    if not all(ends) or any(end.last.bias is None for block in ends for end in block):
        raise RepairError(
            f"compress.repair: the layers of a backbone of kind '{backbone.config.kind}' cannot be "
            "refitted; set compress.repair to none"
        )


def calibration_clips(model: BlockModel, loader: Any, clips: int) -> Tensor:
    """Clips of the loader's windows that hold real frames: uint8 (n, clip_frames, H, W, 3).

    About ``clips`` of them, the same number from each window, spread evenly over it. Neither the
    size of batches nor workers matter.
    """
    size, each = model.backbone.geometry.clip_frames, max(1, clips // max(1, len(loader.dataset)))
    taken = []
    for batch in progress(loader, "reading clips for the repair", len(loader)):
        for frames, mask in zip(batch.frames, batch.mask, strict=True):
            parts = frames.reshape(-1, size, *frames.shape[1:])
            real = max(1, round(len(parts) * float(mask.float().mean())))
            taken.append(parts[torch.linspace(0, real - 1, min(each, real)).round().long()])
    return torch.cat(taken) if taken else torch.empty(0, size)


def fitted_clips(n: int) -> int:
    """How many of n calibration clips, the first ones, are fitted on; the others judge."""
    return n - max(1, round(HELD_OUT * n))


def feature_error(student: BlockModel, teacher: BlockModel, clips: Tensor) -> float:
    """Root mean squared difference of pooled features, relative to how much the teacher's vary.

    Of the clips that judge. Models are on one device and in evaluation mode.
    """
    both = []
    for model in (student, teacher):
        pooled = []
        for part in torch.split(clips[fitted_clips(len(clips)) :], 32):
            tokens = model.backbone.embed_clips(part.to(student.device))
            for index in model.kept_blocks:
                tokens = model.run_block(index, tokens)[1]
            pooled.append(model.backbone.pool_clips(tokens).flatten(0, 1).double().cpu())
        both.append(torch.cat(pooled))
    found, wanted = both
    spread = (wanted - wanted.mean(0)).square().sum()
    return _relative(float((found - wanted).square().sum()), float(spread))


class _Walk:
    """The states of student and teacher at a kept block, for all clips at once.

    Chunks of clips never mix those that are fitted on with those that judge; their size follows
    from the model alone, and so do the results.
    """

    def __init__(
        self, student: BlockModel, teacher: BlockModel, clips: Tensor, config: RepairConfig
    ) -> None:
        check_repairable(student.backbone)
        if len(clips) < 2:
            raise RepairError(
                "compress.repair needs at least two clips of training videos, to fit and to judge: "
                "raise compress.repair.videos or compress.repair.clips"
            )
        self.student, self.teacher, self.ridges = student, teacher, config.ridge
        n_tokens = student.backbone.tokens_per_clip
        at_once = max(1, _AT_ONCE // (n_tokens * student.backbone.geometry.width))
        fitted = fitted_clips(len(clips))
        judging = torch.split(clips[fitted:], at_once)
        chunks = [*torch.split(clips[:fitted], at_once), *judging]
        self.n_fitted = len(chunks) - len(judging)
        self.share = min(1.0, config.tokens / (len(clips) * n_tokens))
        self.own = [self._embedded(student.backbone, chunk) for chunk in chunks]
        self.wanted = [self._embedded(teacher.backbone, chunk) for chunk in chunks]

    def _embedded(self, backbone: Backbone, clips: Tensor) -> Tensor:
        return backbone.embed_clips(clips.to(self.student.device)).float().cpu()

    def expect(self, index: int) -> tuple[States, States]:
        """Lead the teacher through block ``index`` and the hole after it.

        Returns what the student's block should give: its state in the middle, its output.
        """
        later = [i for i in self.student.kept_blocks if i > index]
        hole = [i for i in self.teacher.kept_blocks if index < i < min(later, default=inf)]
        mids = []
        for place, tokens in enumerate(self.wanted):
            mid, out = self.teacher.backbone.run_block(index, tokens.to(self.student.device))
            for skipped in hole:
                out = self.teacher.backbone.run_block(skipped, out)[1]
            mids.append(mid.cpu())
            self.wanted[place] = out.cpu()
        return mids, self.wanted

    def leave(self, index: int) -> None:
        """Lead the student through its block ``index``."""
        for place, tokens in enumerate(self.own):
            self.own[place] = self.run(index, tokens)[1].cpu()

    def fit(self, index: int, branch: int, targets: States) -> tuple[Refit, Tensor | None]:
        """How the end of a branch should change: none if no ridge makes held-out clips better."""
        end = branch_end(self.student, index, branch)
        width, device = end.last.out_features, self.student.device
        fit = NormalEquations(end.last.in_features, width, device)
        judge = NormalEquations(end.last.in_features, width, device)
        size = 0.0
        with inputs_of(end.last) as inputs:
            for place, (tokens, target) in enumerate(zip(self.own, targets, strict=True)):
                found = self.run(index, tokens)[branch]
                wanted = target.to(found.device)
                rows = self._rows(wanted.shape[:-1].numel(), place).to(found.device)
                x, y, size_of = (
                    t.flatten(0, -2)[rows] for t in (inputs.pop(), wanted - found, wanted)
                )
                (fit if place < self.n_fitted else judge).add(x, y)
                if place >= self.n_fitted:
                    size += float(size_of.square().sum(dtype=torch.float64))
        before, ridge, best = float(judge.square), nan, None
        after = before
        for candidate in self.ridges:
            change = fit.solve(candidate)
            if (error := judge.error(change)) < after:
                after, ridge, best = error, candidate, change
        return Refit(index, branch, _relative(before, size), _relative(after, size), ridge), best

    def run(self, index: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The student's block ``index``: its state in the middle and its output."""
        return self.student.backbone.run_block(index, tokens.to(self.student.device))

    def _rows(self, n: int, place: int) -> Tensor:
        """Which of a chunk's n tokens are taken: the same ones for every layer."""
        order = torch.randperm(n, generator=torch.Generator().manual_seed(place))
        return order[: max(1, ceil(self.share * n))]


def branch_end(model: BlockModel, index: int, branch: int) -> Branch:
    """The end of branch 0 (to the state in the middle) or 1 (to the output) of a block."""
    ends = model.backbone.branches(model.backbone.blocks[str(index)])
    return ends[branch - 2 + len(ends)]


@contextmanager
def inputs_of(layer: nn.Linear) -> Iterator[list[Tensor]]:
    """A list to which each pass through ``layer`` adds its input."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()


def fold(end: Branch, change: Tensor) -> None:
    """Add ``[x 1] · change`` (d + 1, width) to what the branch gives; its scale is folded in."""
    layer = end.last
    weight, bias = layer.weight.double(), layer.bias.double()
    if end.scale is not None:
        weight, bias = end.scale.double()[:, None] * weight, end.scale.double() * bias
        end.scale.fill_(1.0)
    change = change.to(weight)
    layer.weight.copy_(weight + change[:-1].T)
    layer.bias.copy_(bias + change[-1])


def _relative(square: float, size: float) -> float:
    return sqrt(square / size) if size > 0 else 0.0


class _Done:
    """The layers that are done, with the student, kept on disk so that a repair can go on."""

    def __init__(self, student: BlockModel, scratch: Scratch | None) -> None:
        self._student, self._scratch = student, scratch
        self.rows: list[Refit] = []
        self._saved = time.monotonic()
        if scratch and (state := read_state(scratch.file, scratch.mark, "the repair")):
            student.load_state_dict(state[0])
            self.rows = [Refit(**row) for row in state[1]["rows"]]

    def __contains__(self, layer: tuple[int, int]) -> bool:
        return any(layer == (row.block, row.branch) for row in self.rows)

    def add(self, row: Refit) -> None:
        """Note a layer that is done, and save all of them now and then."""
        self.rows.append(row)
        if self._scratch and time.monotonic() - self._saved >= SECONDS_BETWEEN_SAVES:
            facts = {"rows": [asdict(row) for row in self.rows]}
            write_state(self._scratch.file, self._scratch.mark, self._student.state_dict(), facts)
            self._saved = time.monotonic()
