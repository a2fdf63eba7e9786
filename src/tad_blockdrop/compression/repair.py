"""Repair in closed form: what dropped blocks did is refitted into the blocks that are left.

Block by block, in order, the last layers of the attention and of the MLP are refitted by ridge
regression on the repaired student's own input, towards the state that the teacher has there and
that the next kept branch expects (docs/method.md §4.5). No gradient, no label, no new parameter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, fields
from itertools import pairwise
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from tad_blockdrop.compression.exchange import donors_for, refit_with
from tad_blockdrop.compression.least_squares import relative
from tad_blockdrop.compression.refitting import (
    Refit,
    RepairError,
    States,
    Walk,
    branch_end,
    fold,
    warn_of_left_out,
)
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.model import BlockModel, evaluating
from tad_blockdrop.detector.units import SUB_LAYERS, SubLayer, Unit, block_of, sub_layers
from tad_blockdrop.parallel.group import ALONE, Group, share_of
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.storage.resumable import read_state
from tad_blockdrop.storage.resumable_pass import SECONDS_BETWEEN_SAVES, Scratch, save_state

COLUMNS = [field.name for field in fields(Refit)]


def repair_model(
    student: BlockModel,
    teacher: BlockModel,
    clips: Tensor,
    config: RepairConfig,
    scratch: Scratch | None = None,
    group: Group = ALONE,
) -> pd.DataFrame:
    """Refit ``student`` in place towards ``teacher``, which has all its blocks and maybe more.

    ``clips`` as from :func:`calibration_clips`; the last fifth of all judges. Runs where the
    student is, under the caller's autocast. The states between blocks are kept in main memory:
    three times ``len(clips) · n_tokens · width`` float32, one more where an attention is gone, and
    one more where an attention may take heads. With ``scratch``, the same file for all of a
    ``group``, a repair that was cut goes on. Every process of the group gets the same student, and
    the same row per layer, with the fields of :class:`Refit`.

    Raises RepairError for fewer than two clips, or a backbone that cannot be repaired.
    """
    check_repairable(student.backbone)
    plan = refitted(student.kept_units, teacher.kept_units, config.layers)
    done = _Done(student, scratch, group)
    with evaluating(student), evaluating(teacher.to(student.device)):
        walk = Walk(student, teacher, clips, config, group)
        for index in progress(student.kept_blocks, "repairing", len(student.kept_blocks)):
            donors = [donors_for(walk, index, branch, config.donors) for branch in (0, 1)]
            branches = plan.get(index, ())
            whole = bool(branches) and index in student.kept_units
            *targets, joined = walk.expect(index, donors[0] if whole else ())
            if index not in done:
                done.add(index, _refit_block(walk, index, branches, targets, donors, joined))
            walk.leave(index)
    return pd.DataFrame([asdict(row) for row in done.rows], columns=COLUMNS)


def _refit_block(
    walk: Walk,
    index: int,
    branches: Sequence[int],
    targets: Sequence[States],
    donors: Sequence[Sequence[int]],
    joined: States,
) -> list[Refit]:
    """Refit the ends of a block's branches in place, with what the branches of ``donors`` offer.

    Where ``joined`` says to what an attention with heads of others should lead, the block is
    refitted with and without them: it keeps what brings its end closer for the clips that judge.
    """
    if not joined:
        return [_refit(walk, index, branch, targets[branch], donors[branch]) for branch in branches]
    block = walk.student.backbone.blocks[str(index)]
    start = deepcopy(block.state_dict())
    own = [_refit(walk, index, b, targets[b], donors[1] if b else ()) for b in branches]
    without_heads = deepcopy(block.state_dict())
    block.load_state_dict(start)
    taking = [_refit(walk, index, 0, joined, donors[0])]
    taking.append(_refit(walk, index, 1, targets[1], donors[1]))
    if taking[-1].after < own[-1].after:
        return taking
    block.load_state_dict(without_heads)
    return own


def _refit(walk: Walk, index: int, branch: int, targets: States, donors: Sequence[int]) -> Refit:
    """Refit the end of a branch in place, with what the same branches of ``donors`` offer."""
    if donors:
        return refit_with(walk, index, branch, targets, donors)
    row, change = walk.fit(index, branch, targets)
    if change is not None:
        fold(branch_end(walk.student, index, branch), change)
    return row


def gap_errors(
    model: BlockModel,
    clips: Tensor,
    config: RepairConfig,
    units: Sequence[Unit],
    group: Group = ALONE,
) -> dict[Unit, float]:
    """What no refit of the branch before it can do for each of ``units``: the error left, relative.

    A unit with none before it is not in the result. One pass, nothing is changed. Arguments and
    errors as in :func:`repair_model`.
    """
    check_repairable(model.backbone)
    fits: dict[Unit, Refit] = {}
    walk = Walk(model, model, clips, config, group)
    branches = sub_layers(model.kept_units)
    firsts = {u: next(b for b in branches if u in (b, b.block)) for u in units}
    before = {first: branch for branch, first in pairwise(branches)}
    for index in progress(model.kept_blocks, "fitting", len(model.kept_blocks)):
        for unit, first in firsts.items():
            if (branch := before.get(first)) and branch.block == index:
                wanted = [_state_after(walk, unit, index, tokens) for tokens in walk.own]
                fits[unit], _ = walk.fit(index, SUB_LAYERS.index(branch.name), wanted)
        walk.leave(index)
    warn_of_left_out((fit.left_out for fit in fits.values()), group)
    return {unit: fit.after for unit, fit in fits.items()}


def _state_after(walk: Walk, unit: Unit, index: int, tokens: Tensor) -> Tensor:
    """The tokens after a unit of block ``index`` or the next one, from the input of ``index``."""
    if block_of(unit) != index:
        tokens = walk.run(index, tokens)[1]
    mid, out = walk.run(block_of(unit), tokens)
    return (mid if unit == SubLayer(block_of(unit), "attention") else out).cpu()


def refitted(
    kept: Sequence[Unit], full: Sequence[Unit], layers: Literal["none", "gap", "all"]
) -> dict[int, tuple[int, ...]]:
    """The branches of each kept block that are refitted: 0, the attention; 1, the MLP.

    ``full``: what the teacher has. ``gap``: the branch before each hole, or after one that nothing
    stands before; ``all``: that, and every later one.
    """
    plan: dict[int, tuple[int, ...]] = {}
    first, *rest = sub_layers(kept)
    there, holed = {first, *rest}, False
    for branch, following in pairwise([*sub_layers(full), None]):
        gap = (following is not None and following not in there) or (holed and branch == first)
        if branch not in there:
            holed = True
        elif gap if layers == "gap" else layers == "all" and (holed or gap):
            plan[branch.block] = (*plan.get(branch.block, ()), SUB_LAYERS.index(branch.name))
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
    """Clips of the loader's own windows that hold real frames: uint8 (n, clip_frames, H, W, 3).

    At most ``clips`` of all windows: the same number from each (but for a remainder), spread evenly
    over it, or one from some of the windows where there are more of them. Which ones follows from
    the window's number; neither the size of batches nor workers matter, nor whose windows the
    others are.
    """
    size, n_windows = model.backbone.geometry.clip_frames, len(loader.dataset)
    some = min(clips, n_windows)
    used = torch.linspace(0, n_windows - 1, some).round().int().tolist()
    shares = {window: (turn, share_of(clips, turn, some)) for turn, window in enumerate(used)}
    numbers = iter(loader.dataset.own)
    taken = []
    for batch in progress(loader, "reading clips for the repair", len(loader)):
        for frames, mask in zip(batch.frames[batch.own], batch.mask[batch.own], strict=True):
            if (number := next(numbers)) in shares:
                turn, share = shares[number]
                parts = frames.reshape(-1, size, *frames.shape[1:])
                real = max(1, round(len(parts) * float(mask.float().mean())))
                taken.append(parts[spread(min(len(share), real), real, turn)])
    return torch.cat(taken) if taken else torch.empty(0, size)


def spread(n: int, there: int, turn: int) -> Tensor:
    """The places of n of so many things in a row, as far apart as they can be.

    At turn 0 each is in the middle of its n-th part of them. All move on with every turn, so that
    over the turns each place is taken as often as any other.
    """
    return (torch.arange(n) * there + (turn + there // 2) % there) // n


def feature_error(student: BlockModel, teacher: BlockModel, clips: Tensor) -> float:
    """Root mean squared difference of pooled features, relative to how much the teacher's vary.

    Over all ``clips``. Models are on one device and in evaluation mode.
    """
    both = []
    for model in (student, teacher):
        pooled = []
        for part in torch.split(clips, 32):
            tokens = model.backbone.embed_clips(part.to(student.device))
            for index in model.kept_blocks:
                tokens = model.run_block(index, tokens)[1]
            pooled.append(model.backbone.pool_clips(tokens).flatten(0, 1).cpu().double())
        both.append(torch.cat(pooled))
    found, wanted = both
    spread = (wanted - wanted.mean(0)).square().sum()
    return relative(float((found - wanted).square().sum()), float(spread))


class _Done:
    """The blocks that are done, with the student, kept on disk so that a repair can go on.

    They are the same in all processes of a group, so that any number of them can go on. All have
    read the file before the first of them writes it: between lies a sum that all wait for.
    """

    def __init__(self, student: BlockModel, scratch: Scratch | None, group: Group) -> None:
        self._student, self._scratch = student, scratch
        self._writes = group.rank == 0
        self.rows: list[Refit] = []
        self._blocks: list[int] = []
        self._saved = time.monotonic()
        if scratch and (state := read_state(scratch.file, scratch.mark, "the repair")):
            student.load_state_dict(state[0])
            self.rows = [Refit(**row) for row in state[1]["rows"]]
            self._blocks = list(state[1]["blocks"])

    def __contains__(self, index: int) -> bool:
        return index in self._blocks

    def add(self, index: int, rows: Sequence[Refit]) -> None:
        """Note a block that is done, and save all of them now and then."""
        self.rows += rows
        self._blocks.append(index)
        due = time.monotonic() - self._saved >= SECONDS_BETWEEN_SAVES
        if self._scratch and self._writes and due:
            facts = {"rows": [asdict(row) for row in self.rows], "blocks": self._blocks}
            save_state(self._scratch, self._student.state_dict(), facts)
            self._saved = time.monotonic()
