"""The second part of a repair: neck and head are refitted to read the features as they are now.

A repaired backbone still gives other features than those that neck and head were made for. Their
linear layers and convolutions over time are refitted by ridge regression, in the order in which
they work, on the student's own input, towards what each of them gives in the uncompressed model
(docs/method.md §4.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.compression.least_squares import Evidence
from tad_blockdrop.compression.refitting import cut, fitted_clips
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detector.model import BlockModel, evaluating
from tad_blockdrop.detector.necks.contract import TimeConv
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.runtime.progress import progress

_AT_ONCE = 32  # windows


@dataclass(frozen=True)
class LayerRefit:
    """What became of a layer of neck or head, named as in the model.

    ``before`` and ``after`` are errors of its outputs in held-out windows, relative to the size of
    the teacher's. ``ridge`` is the best of those tried; NaN where leaving the layer alone was
    better. ``left_out``: steps that were not looked at, since something in them was not finite.
    """

    layer: str
    before: float
    after: float
    ridge: float
    left_out: int = 0


@dataclass(frozen=True, eq=False)
class Features:
    """Features (n, feature_width, grid) of n windows in student and teacher; mask (n, grid)."""

    student: Tensor
    teacher: Tensor
    mask: Tensor


def windows_for(config: RepairConfig, grid: int) -> int:
    """How many windows of ``grid`` steps are read, at most: no more steps than ``tokens``."""
    return max(2, min(config.windows or config.tokens, config.tokens // grid))


def read_features(
    student: BlockModel, teacher: BlockModel, loader: Any, group: Group = ALONE
) -> Features:
    """Features of all windows of the ``group``, in order, on the CPU.

    ``loader``: batches of those that this process reads; their ``own`` says which count.
    """
    # A process that got none of the videos, since they stay whole, has this much to share.
    none = torch.zeros(0, student.backbone.geometry.feature_width, student.grid)
    mask = torch.zeros(0, student.grid, dtype=torch.bool)
    parts = {"student": [none], "teacher": [none], "mask": [mask]}
    with evaluating(student), evaluating(teacher.to(student.device)):
        for batch in progress(loader, "features for the repair", len(loader)):
            there = batch.to(student.device)
            for name, model in (("student", student), ("teacher", teacher)):
                parts[name].append(model.output_of(there).features[batch.own].float().cpu())
            parts["mask"].append(batch.mask[batch.own])
    gathered = group.gather({name: torch.cat(part) for name, part in parts.items()})
    return Features(**{name: torch.cat([part[name] for part in gathered]) for name in parts})


def refit_read_out(
    student: BlockModel, teacher: BlockModel, features: Features, ridges: Sequence[float]
) -> list[LayerRefit]:
    """Refit neck and head of ``student`` in place; the last fifth of the windows judges.

    Refitted are linear layers and each :class:`TimeConv` of stride 1 without groups; others stay as
    they are, and all do if there is only one window. Runs where the student is, under the caller's
    autocast.
    """
    if len(features.mask) < 2:
        return []
    with evaluating(student), evaluating(teacher.to(student.device)):
        calls = _calls(student, features)
        names = progress(calls, "repairing neck and head", len(calls))
        return [_refit(student, teacher, features, name, calls[name], ridges) for name in names]


def _refit(
    student: BlockModel,
    teacher: BlockModel,
    features: Features,
    name: str,
    calls: int,
    ridges: Sequence[float],
) -> LayerRefit:
    layer = student.get_submodule(name)
    assert isinstance(layer, nn.Linear | TimeConv)
    weight, bias = layer.weight, layer.bias
    known = Evidence(weight[0].numel(), len(weight), student.device, intercept=bias is not None)
    n = len(features.mask)
    for chunk in cut(range(n), fitted_clips(n), _AT_ONCE):
        some, judges = slice(chunk.start, chunk.stop), chunk.start >= fitted_clips(n)
        mask = features.mask[some].to(student.device)
        own = _seen(student, name, calls, features.student[some], mask)
        aims = _seen(teacher, name, calls, features.teacher[some], mask)
        for (x, found), (_, wanted) in zip(own, aims, strict=True):
            real = _real(mask, found)
            known.add(_inputs(layer, x)[real], found[real], wanted[real], judges)
    chosen = known.choose(ridges)
    if chosen.change is not None:
        change = chosen.change.to(weight)
        weight.add_(change[:-1].T.reshape(weight.shape))
        if bias is not None:
            bias.add_(change[-1])
    return LayerRefit(name, chosen.before, chosen.after, chosen.ridge, int(known.left_out))


def _calls(model: BlockModel, features: Features) -> dict[str, int]:
    """The layers that can be refitted in the order of a pass, and how often each is called."""
    inside = set(model.backbone.modules())
    names = {
        module: name
        for name, module in model.named_modules()
        if module not in inside and _is_linear(module)
    }
    calls: Counter[str] = Counter()
    handles = [
        module.register_forward_pre_hook(lambda module, _: calls.update([names[module]]))
        for module in names
    ]
    try:
        model.read_out(features.student[:1].to(model.device), features.mask[:1].to(model.device))
    finally:
        for handle in handles:
            handle.remove()
    return dict(calls)


def _is_linear(module: nn.Module) -> bool:
    if isinstance(module, TimeConv):
        return module.groups == 1 and module.stride == (1,)
    return isinstance(module, nn.Linear)


class _EnoughError(Exception):
    """What was looked for has been seen: the rest of a pass can be left out."""


def _seen(
    model: BlockModel, name: str, calls: int, features: Tensor, mask: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Input and output of each of the ``calls`` of a layer in a pass."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((inputs[0].float(), output.float()))
        if len(seen) == calls:
            raise _EnoughError

    handle = model.get_submodule(name).register_forward_hook(note)
    try:
        model.read_out(features.to(model.device), mask)
    except _EnoughError:
        pass
    finally:
        handle.remove()
    return seen


def _real(mask: Tensor, output: Tensor) -> Tensor:
    """Which rows of a layer's output (B, T, m) are of real steps; of one (B, m), all are."""
    steps = output.shape[1] if output.ndim == 3 else 0
    if steps and mask.shape[1] % steps == 0:
        return mask[:, :: mask.shape[1] // steps]
    return torch.ones(output.shape[:-1], dtype=torch.bool, device=output.device)


def _inputs(layer: nn.Linear | TimeConv, x: Tensor) -> Tensor:
    """What the layer's outputs are linear in: (B, T, d) for its input (B, T, C)."""
    if isinstance(layer, nn.Linear):
        return x
    size = layer.kernel_size[0]
    padded = functional.pad(x.transpose(1, 2), (size // 2, size // 2))
    return padded.unfold(2, size, 1).transpose(1, 2).flatten(2)
