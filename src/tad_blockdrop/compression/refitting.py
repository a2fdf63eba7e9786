"""One layer at a time: the states of student and teacher, and how a branch's end should change.

What ``repair`` does block by block is built from these steps.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor, nn

from tad_blockdrop.compression.least_squares import Evidence
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detector.backbones.contract import Backbone, Branch
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.detector.units import SUB_LAYERS, expected_states
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.group import ALONE, Group, share_of

HELD_OUT = 0.2  # share of the calibration clips on which refits are judged
# Processes take whole parts of the clips. Each part is summed by itself, and the parts are added in
# their order, whoever had them: the bits do not depend on how many processes there are.
PARTS = 16
_AT_ONCE = 2**20  # numbers (tokens times width) that go through a block together

logger = logging.getLogger(__name__)

States = list[Tensor]  # tokens (n, n_tokens, width) of some clips after the others, on the CPU


class RepairError(BlockDropError):
    """A model cannot be repaired."""


@dataclass(frozen=True)
class Refit:
    """One layer that was looked at: its branch of the block (0 or 1), and what became of it.

    ``before`` and ``after`` are errors of the state it leads to, on held-out clips, relative to
    the size of the teacher's state. ``ridge`` is the best of those tried; NaN where leaving the
    layer alone was better. ``taken``: channels it reads that are now those of dropped blocks.
    ``left_out``: tokens that were not looked at, since something in them was not finite.
    """

    block: int
    branch: int
    before: float
    after: float
    ridge: float
    taken: int = 0
    left_out: int = 0


def fitted_clips(n: int) -> int:
    """How many of n calibration clips, the first ones, are fitted on; the others judge."""
    return n - max(1, round(HELD_OUT * n))


def shares(videos: int) -> tuple[int, str]:
    """Into how many parts processes can cut a walk over clips of so many videos, and of what."""
    return (videos, "videos") if videos < PARTS else (PARTS, "parts of the clips")


def deal(clips: Tensor, group: Group) -> tuple[list[tuple[range, Tensor]], int]:
    """The parts that are this process's, and how many clips there are; a part: numbers and clips.

    ``clips``: those that this process has read, which come after those of lower ranks. Parts go
    round, so that all are at the same part of the clips at a time.
    """
    counts = group.counts(len(clips))
    total, before = sum(counts), sum(counts[: group.rank])
    own = []
    for number in range(PARTS):
        part = share_of(total, number, PARTS)
        here = clips[max(0, part.start - before) : max(0, part.stop - before)]
        found = [given["clips"] for given in group.gather({"clips": here})]
        if number % group.world == group.rank:
            some = [given for given in found if len(given)]
            own.append((part, torch.cat(some) if len(some) > 1 else (some or found)[0]))
    return own, total


def check_clips(n: int) -> None:
    """Raise RepairError if n calibration clips are too few."""
    if n < 2:
        raise RepairError(
            "compress.repair needs at least two clips of training videos, to fit and to judge: "
            "raise compress.repair.videos, compress.repair.windows or compress.repair.clips (for a "
            "ranking that repairs, compress.score_videos)"
        )


def warn_of_left_out(counts: Iterable[int], group: Group) -> None:
    """Say once, for all layers, that some rows of ``Evidence`` were left out, if any were."""
    most = max(counts, default=0)
    if most and group.rank == 0:
        logger.warning(
            "compress.repair: up to %d tokens or steps of a layer were left out, where a model has "
            "no finite numbers; if runtime.precision is fp16, set it to bf16 or fp32", most,
        )  # fmt: skip


class Walk:
    """The states of student and teacher at a kept block, for all clips of this process at once.

    ``clips`` are those that this process of ``group`` has read; it works on some of all. Chunks of
    clips never mix those that are fitted on with those that judge; they follow from the model and
    the number of clips alone, and so do the results.
    """

    def __init__(
        self,
        student: BlockModel,
        teacher: BlockModel,
        clips: Tensor,
        config: RepairConfig,
        group: Group = ALONE,
    ) -> None:
        self.student, self.teacher, self.ridges = student, teacher, config.ridge
        self.group = group
        self._aims = expected_states(student.kept_units, teacher.kept_units)
        parts, total = deal(clips, group)
        check_clips(total)
        n_tokens = student.backbone.tokens_per_clip
        at_once = max(1, _AT_ONCE // (n_tokens * student.backbone.geometry.width))
        self.fitted = fitted_clips(total)
        self.share = min(1.0, config.tokens / (total * n_tokens))
        first = student.kept_blocks[0]
        gone = [i for i in teacher.kept_blocks if i < first]  # before anything can be refitted
        self.own: States = []
        self.wanted: States = []
        self._numbers: list[range] = []  # of the clips of each chunk, among all
        self._turns: list[list[int]] = []  # the chunks of each part
        for numbers, part in parts:
            chunks = cut(numbers, self.fitted, at_once)
            self._turns.append([len(self._numbers) + i for i in range(len(chunks))])
            self._numbers += chunks
            for chunk in torch.split(part, [len(chunk) for chunk in chunks]):
                self.own.append(self._embedded(student.backbone, chunk))
                wanted = self._led(gone, self._embedded(teacher.backbone, chunk))
                self.wanted.append(wanted.cpu())
        self._turns += [[]] * (ceil(PARTS / group.world) - len(parts))

    def _led(self, blocks: Sequence[int], tokens: Tensor) -> Tensor:
        """Tokens through some blocks of the teacher."""
        for index in blocks:
            tokens = self.teacher.backbone.run_block(index, tokens.to(self.student.device))[1]
        return tokens

    def _embedded(self, backbone: Backbone, clips: Tensor) -> Tensor:
        return backbone.embed_clips(clips.to(self.student.device)).float().cpu()

    def expect(self, index: int, heads_of: Sequence[int] = ()) -> tuple[States, States, States]:
        """Lead the teacher through block ``index`` and the hole after it.

        Returns what the student's attention and MLP should lead to: the state in the middle, and
        what the next kept block expects. A branch that is alone leads to the latter. The third:
        the state in the middle with what the attentions of ``heads_of``, blocks of the hole, add;
        none without any.
        """
        whole, (_, end) = index in self.student.kept_units, self._aims[index]
        stop = end.block if end.middle else end.block + 1
        hole = [i for i in self.teacher.kept_blocks if index < i < stop]
        run = self.teacher.backbone.run_block
        mids, outs, joined = [], [], []
        for place, tokens in enumerate(self.wanted):
            mid, out = run(index, tokens.to(self.student.device))
            if whole:
                mids.append(mid.cpu())
            for block in hole:
                before, (after_attention, out) = out, run(block, out)
                if block in heads_of:
                    mid = mid + (after_attention - before)
            if end.middle:
                after_attention = run(end.block, out)[0]
                if end.block in heads_of:
                    mid = mid + (after_attention - out)
                outs.append(after_attention.cpu())
            if heads_of:
                joined.append(mid.cpu())
            self.wanted[place] = out.cpu()
        after = outs if end.middle else self.wanted
        return (mids if whole else after), after, joined

    def leave(self, index: int) -> None:
        """Lead the student through its block ``index``."""
        for place, tokens in enumerate(self.own):
            self.own[place] = self.run(index, tokens)[1].cpu()

    def fit(self, index: int, branch: int, targets: States) -> tuple[Refit, Tensor | None]:
        """How the end of a branch should change: none if no ridge makes held-out clips better."""
        known = self.evidence(index, branch, targets)
        chosen, left_out = known.choose(self.ridges), int(known.left_out)
        row = Refit(index, branch, chosen.before, chosen.after, chosen.ridge, left_out=left_out)
        return row, chosen.change

    def evidence(
        self, index: int, branch: int, targets: States, donors: Sequence[int] = ()
    ) -> Evidence:
        """What is known of the inputs of a branch's last layer and of what it should lead to.

        ``donors``: blocks of the teacher whose hidden channels or heads, fed with the tokens that
        the student's branch is fed with, are inputs, too.
        """
        end = branch_end(self.student, index, branch)
        inputs = end.last.in_features
        for donor in donors:
            inputs += branch_end(self.teacher, donor, branch).last.in_features
        shape = inputs, end.last.out_features, self.student.device
        known = Evidence(*shape)
        for places in self._turns:
            part = Evidence(*shape)
            for place in places:
                tokens, chunk = self.own[place], self._numbers[place]
                with inputs_of(end.last) as seen:
                    mid, out = self.run(index, tokens)
                given, found = (tokens, mid) if branch == 0 else (mid, out)
                offered = [self._offered(donor, branch, given) for donor in donors]
                x = torch.cat([*seen, *offered], dim=-1)
                wanted = targets[place].to(found.device)
                rows = self._rows(wanted.shape[:-1].numel(), chunk).to(found.device)
                x, found, wanted = (t.flatten(0, -2)[rows] for t in (x, found, wanted))
                part.add(x, found, wanted, judges=chunk.start >= self.fitted)
            self.group.add_in_order(known.sums, part.sums)
        return known

    def _offered(self, donor: int, branch: int, tokens: Tensor) -> Tensor:
        """What the heads or hidden channels of a block of the teacher give for tokens."""
        with inputs_of(branch_end(self.teacher, donor, branch).last) as seen:
            other = SUB_LAYERS[1 - branch]
            self.teacher.backbone.run_block(donor, tokens.to(self.student.device), without=[other])
        return seen[0]

    def run(self, index: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The student's block ``index``: its state in the middle and its output."""
        return self.student.backbone.run_block(index, tokens.to(self.student.device))

    def _rows(self, n: int, chunk: range) -> Tensor:
        """Which of a chunk's n tokens are taken: the same ones for every layer."""
        order = torch.randperm(n, generator=torch.Generator().manual_seed(chunk.start))
        return order[: max(1, ceil(self.share * n))]


def cut(part: range, fitted: int, at_once: int) -> list[range]:
    """Chunks of a part of the clips, of which the first ``fitted`` of all are fitted on."""
    start, stop = part.start, part.stop
    begins = [*range(start, min(stop, fitted), at_once), *range(max(start, fitted), stop, at_once)]
    return [range(*ends) for ends in pairwise([*begins, stop])]


def branch_end(model: BlockModel, index: int, branch: int) -> Branch:
    """The end of branch 0 (the attention) or 1 (the MLP) of a block, which may be its only one."""
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
    set_last(end, last_layer(end) + change.cpu())


def last_layer(end: Branch) -> Tensor:
    """What a branch adds for each input of its last layer, its bias last: (d + 1, width), float64.

    On the CPU, since not every device has float64.
    """
    weights = torch.cat([end.last.weight.T, end.last.bias[None]]).cpu().double()
    return weights if end.scale is None else weights * end.scale.cpu().double()


def set_last(end: Branch, weights: Tensor) -> None:
    """Make ``weights``, as :func:`last_layer` gives them, those of the branch."""
    if end.scale is not None:
        end.scale.fill_(1.0)
    end.last.weight.copy_(weights[:-1].T)
    end.last.bias.copy_(weights[-1])
