"""Heads and hidden channels of dropped blocks in the place of weaker ones of the block before.

A refit of the last layer of an attention or MLP can only mix what its heads or hidden channels
give. Those of the blocks dropped right after it, fed with the same tokens, are offered beside its
own, and as many as before are kept: the weakest go one by one, as an optimal brain surgeon takes
weights (Hassibi and Stork, 1993). The block is as large as it was (docs/method.md §4.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import ceil, inf

import torch
from torch import Tensor, nn

from tad_blockdrop.compression.least_squares import NormalEquations, relative
from tad_blockdrop.compression.refitting import (
    Refit,
    States,
    Walk,
    branch_end,
    fold,
    last_layer,
    set_last,
)
from tad_blockdrop.detector.backbones.contract import Branch, Hidden
from tad_blockdrop.detector.units import SUB_LAYERS, SubLayer, sub_layers

_AT_ONCE = 0.1  # share of the groups that go before costs are worked out for all again


@dataclass(frozen=True, eq=False)
class Exchange:
    """Which of the channels offered are kept, and the last layer for them.

    ``weights`` (n + 1, m): a row for each of the n ``channels``, and the bias. ``error`` is the sum
    of squares on the rows that judge, ``ridge`` the best of those tried.
    """

    channels: Tensor
    weights: Tensor
    error: float
    ridge: float


def choose_channels(
    fit: NormalEquations,
    judge: NormalEquations,
    own: Tensor,
    offered: Tensor,
    ridges: Sequence[float],
    group: int = 1,
) -> Exchange | None:
    """As many of all channels as there are own ones; none if nothing can be solved.

    Both equations are of all channels, own first, and of what the output lacks. ``own`` (n + 1, m)
    is the last layer as it is, its bias last; ``offered`` (k + 1, m) those of the other blocks,
    with the sum of their biases. Solutions are drawn towards the sum of all branches. So many
    channels as a ``group`` has, neighbours, stay or go together.
    """
    n = len(own) - 1
    now, start = torch.zeros_like(fit.cross), torch.zeros_like(fit.cross)
    now[:n], now[-1] = own[:-1], own[-1]
    start[n:] = offered
    diagonal = fit.gram.diagonal()[:-1].mean()

    def solved(ridge: float, channels: Tensor) -> tuple[Tensor, float] | None:
        """The last layer for some channels, and the error with it."""
        matrix, right = equations(ridge)
        rows = torch.cat([channels, channels.new_tensor([len(now) - 1])])
        factor, failed = torch.linalg.cholesky_ex(matrix[rows][:, rows])
        weights = torch.cholesky_solve(right[rows], factor)
        if failed or not weights.isfinite().all():
            return None
        change = -now
        change[rows] += weights
        return weights, judge.error(change)

    def equations(ridge: float) -> tuple[Tensor, Tensor]:
        penalty = ridge * diagonal
        matrix = fit.gram + penalty * torch.eye(len(now)).to(now)
        return matrix, fit.cross + penalty * start + matrix @ now

    every = torch.arange(len(now) - 1, device=now.device)
    errors = {ridge: found[1] for ridge in ridges if (found := solved(ridge, every))}
    if not errors:
        return None
    kept = strongest(*equations(min(errors, key=lambda ridge: errors[ridge])), n, group)
    best = None
    for ridge in ridges:
        found = solved(ridge, kept)
        if found and found[1] < (best.error if best else inf):
            best = Exchange(kept, *found, ridge)
    return best


def strongest(matrix: Tensor, right: Tensor, n: int, group: int = 1) -> Tensor:
    """The n unknowns that are left of ``matrix · w = right`` when the cheapest go one by one.

    ``matrix`` (d + 1, d + 1) is symmetric and positive definite; its last unknown always stays.
    What it costs to do without a ``group`` G of neighbours, all others solved anew, is the trace of
    ``w_Gᵀ (matrix⁻¹)_GG⁻¹ w_G``. The next to go is looked for among twice as many of the cheapest
    as go before costs are worked out for all again.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    weights = inverse @ right
    there = torch.arange(len(matrix), device=matrix.device)
    while (left := (len(there) - 1) // group) > n // group:
        costs = _costs(inverse[:-1, :-1], weights[:-1], group)
        go = min(left - n // group, ceil(_AT_ONCE * left))
        some = _members(costs.argsort()[: 2 * go], group)
        gone = some[_cheapest(inverse[some][:, some], weights[some], go, group)]
        stays = torch.ones(len(there), dtype=torch.bool, device=matrix.device)
        stays[gone] = False
        taken = torch.linalg.solve(inverse[gone][:, gone], inverse[gone][:, stays]).T
        weights = weights[stays] - taken @ weights[gone]
        inverse = inverse[stays][:, stays] - taken @ inverse[gone][:, stays]
        there = there[stays]
    return there[:-1]


def _costs(inverse: Tensor, weights: Tensor, group: int) -> Tensor:
    """What it costs to do without each group."""
    if group == 1:
        return weights.square().sum(1) / inverse.diagonal()
    n = len(weights) // group
    rows = weights.view(n, group, -1)
    own = inverse.reshape(n, group, n, group).diagonal(dim1=0, dim2=2).movedim(-1, 0)
    costs: Tensor = (rows * torch.linalg.solve(own, rows)).sum((1, 2))
    return costs


def _members(groups: Tensor, group: int) -> Tensor:
    """The unknowns of some groups."""
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()


def _cheapest(inverse: Tensor, weights: Tensor, n: int, group: int) -> Tensor:
    """The members of the n groups that go first, costs corrected after each."""
    inverse, weights = inverse.clone(), weights.clone()
    alive = torch.ones(len(weights) // group, dtype=torch.bool, device=weights.device)
    gone = []
    for _ in range(n):
        costs = _costs(inverse, weights, group)
        place = int(torch.where(alive, costs, inf).argmin())
        gone.append(place)
        alive[place] = False
        these = slice(place * group, (place + 1) * group)
        columns = torch.linalg.solve(inverse[these, these], inverse[these]).T
        weights -= columns @ weights[these]
        inverse -= columns @ inverse[these]
        # Where rounding has left nothing, 0 / 0 must not win or spoil the others.
        inverse[these], inverse[:, these] = 0.0, 0.0
        inverse[these, these] = torch.eye(group).to(inverse)
    return _members(torch.tensor(gone, device=weights.device), group)


def refit_with(
    walk: Walk, index: int, branch: int, targets: States, donors: Sequence[int]
) -> Refit:
    """Refit a branch of a block with its own heads or hidden channels and those of ``donors``.

    It keeps its own ones where they do better on the clips that judge.
    """
    student, teacher = walk.student, walk.teacher
    blocks = [
        student.backbone.blocks[str(index)],
        *(teacher.backbone.blocks[str(d)] for d in donors),
    ]
    given = [student.backbone.hidden(block, SUB_LAYERS[branch]) for block in blocks]
    hidden = [channels for channels in given if channels]
    end = branch_end(student, index, branch)
    known = walk.evidence(index, branch, targets, donors)
    own = last_layer(end)
    others = torch.stack([last_layer(branch_end(teacher, donor, branch)) for donor in donors])
    offered = torch.cat([others[:, :-1].flatten(0, 1), others[:, -1].sum(0, keepdim=True)])
    plain = known.of_first(len(own) - 1).choose(walk.ridges)
    found = choose_channels(known.fit, known.judge, own, offered, walk.ridges, hidden[0].group)
    after = relative(found.error, float(known.size)) if found else inf
    left_out = int(known.left_out)
    if found is None or after >= plain.after:
        if plain.change is not None:
            fold(end, plain.change)
        return Refit(index, branch, plain.before, plain.after, plain.ridge, left_out=left_out)
    put_in(end, hidden, found)
    taken = int((found.channels >= len(own) - 1).sum())
    return Refit(index, branch, plain.before, after, found.ridge, taken, left_out)


def donors_for(walk: Walk, index: int, branch: int, at_most: int) -> list[int]:
    """The nearest blocks whose branch of that kind was dropped right behind block ``index``."""
    backbone, teacher = walk.student.backbone, walk.teacher.backbone
    there, full = set(sub_layers(backbone.kept_units)), sub_layers(teacher.kept_units)
    left = [SubLayer(index, name) for name in SUB_LAYERS if SubLayer(index, name) in there]
    name = SUB_LAYERS[branch]
    if SubLayer(index, name) not in left or not backbone.hidden(backbone.blocks[str(index)], name):
        return []
    hole = takewhile(lambda behind: behind not in there, full[full.index(left[-1]) + 1 :])
    blocks = [behind.block for behind in hole if behind.name == name]
    return [d for d in blocks if teacher.hidden(teacher.blocks[str(d)], name)][:at_most]


def put_in(end: Branch, hidden: Sequence[Hidden], exchange: Exchange) -> None:
    """Write the chosen channels into a branch: that of ``end`` and of the first of ``hidden``.

    What the norms scale and shift is folded into the first layers, since each branch has its own.
    """
    own, chosen, n = hidden[0], exchange.channels.cpu(), end.last.in_features
    for place, layer in enumerate(own.first):
        folded = [_with_norm(each.norm, each.first[place]) for each in hidden]
        by_channel = [rows.reshape(-1, n, rows.shape[1]) for rows in folded]
        rows = torch.cat(by_channel, dim=1)[:, chosen].flatten(0, 1)
        layer.weight.copy_(rows[:, :-1])
        layer.bias.copy_(rows[:, -1])
    own.norm.weight.fill_(1.0)
    own.norm.bias.zero_()
    set_last(end, exchange.weights)


def _with_norm(norm: nn.LayerNorm, layer: nn.Linear) -> Tensor:
    """``[weight bias]`` of a layer that works on tokens that are neither scaled nor shifted."""
    weight, bias, scale, shift = (
        tensor.cpu().double() for tensor in (layer.weight, layer.bias, norm.weight, norm.bias)
    )
    return torch.cat([weight * scale, (bias + weight @ shift)[:, None]], dim=1)
