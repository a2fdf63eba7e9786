"""Many shortened models in one pass: what a model says when some of its blocks are skipped.

A *skip* is the set of blocks, or sub-layers of some, that add nothing. Two skips that agree
on the blocks before j share everything computed before j, so each distinct state is computed once:
after block j the live states are the distinct intersections of the skips with the blocks up to j,
and all states that need block j go through it stacked in the batch. Candidates of a ranking
(single units), pairs of them (looking ahead) and the growing sets of one-shot dropping are all
the same to this.

For the L single blocks that is (L - 1)(L + 2) / 2 block evaluations instead of L (L - 1), a share
of 1/2 + 1/L; the results are those of L separate models.
"""

import operator
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from tad_blockdrop.compression.criteria.contract import Candidates
from tad_blockdrop.detector.backbones.contract import Backbone, on_grid
from tad_blockdrop.detector.model import BlockModel, Output
from tad_blockdrop.detector.units import (
    SUB_LAYERS,
    SubLayer,
    SubLayerName,
    Unit,
    as_stored,
    sub_layers,
)
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.storage.resumable_pass import Gathering, resume_batches

Skip = frozenset[Unit]

Key = TypeVar("Key", bound=Hashable)

# Numbers (tokens times width) that go through a block at once, and that are held between blocks.
# Measured best on CPUs, where the first should stay in the cache. For GPUs counted only: with
# a quarter at once THUMOS14-S made 310 calls of blocks to rank a window, with these it makes 90.
_CPU, _GPU = (2**18, 2**22), (2**24, 2**26)


def candidate_batches(
    model: BlockModel, candidates: Candidates, gathering: Gathering
) -> Iterator[Any]:
    """The batches that ``gathering`` still lacks, on the model's device."""
    given = candidates
    scoring = resume_batches(given.batches, "scoring blocks", gathering, given.scratch, given.group)
    for batch in scoring:
        yield batch.to(model.device, non_blocking=True)


class Sums(Generic[Key]):
    """A sum per key and one common count, gathered batch by batch.

    ``parts``: what was added, by key. They are summed in their order at the end, so that a sum does
    not depend on how many processes gathered it.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self.parts: dict[Key, list[float]] = {key: [] for key in keys}
        self.count = 0

    def add(self, key: Key, value: float) -> None:
        """Take a part of a sum."""
        self.parts[key].append(value)

    def means(self) -> dict[Key, float]:
        """Each sum divided by the count."""
        # Not ``sum``, which rounds in another way since Python 3.12.
        sums = {key: reduce(operator.add, parts, 0.0) for key, parts in self.parts.items()}
        return {key: value / max(self.count, 1) for key, value in sums.items()}

    def state(self) -> dict[str, Tensor]:
        """All that was gathered."""
        parts = torch.tensor(list(self.parts.values()), dtype=torch.float64)
        assert parts.numel() == sum(map(len, self.parts.values()))  # all have as many
        return {"sums": parts, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the sums that ``state`` was taken from, maybe by a version that kept no parts."""
        parts = state["sums"].reshape(len(self.parts), -1).tolist()
        self.parts = dict(zip(self.parts, parts, strict=True))
        self.count = int(state["count"])

    def share(self, group: Group) -> None:
        """Hold the parts of all processes, in order of rank."""
        states = group.gather(self.state())
        counts = [state["count"] for state in states]
        parts = torch.cat([state["sums"] for state in states], dim=1)
        self.restore({"sums": parts, "count": torch.stack(counts).sum()})


def skipped_outputs(
    model: BlockModel, frames: Tensor, mask: Tensor, skips: Sequence[Skip]
) -> Iterator[Output]:
    """The output of ``model`` for each of ``skips``, in their order.

    frames (B, T, H, W, 3), mask (B, grid) as for the model itself. Outputs come one after the
    other, so that not all need to be kept. Arguments and errors as in :func:`skipped_features`.
    """
    features = skipped_features(model, frames, skips)
    _, held = _limits(frames)
    windows = max(1, held // features[0, 0].numel())
    for part in torch.split(features, max(1, windows // len(mask))):
        output = model.read_out(part.flatten(0, 1), mask.repeat(len(part), 1))
        for i in range(len(part)):
            yield output[i * len(mask) : (i + 1) * len(mask)]


def skipped_features(
    model: BlockModel, frames: Tensor, skips: Sequence[Skip], at_once: int | None = None
) -> Tensor:
    """Features with each of S skips: frames (B, T, H, W, 3) -> (S, B, feature_width, grid).

    Clips are encoded independently, so they are taken a few at a time: memory does not grow with
    the length of the window. ``at_once`` limits the numbers (tokens times width) that go through
    a block together, of 16 times as many held; none takes good values for the device. ``model``
    should be in evaluation mode, since drop path is random otherwise. Raises ValueError without any
    skip or for a unit that the model does not have.
    """
    there = {*model.kept_blocks, *sub_layers(model.kept_units)}
    unknown = [as_stored(unit) for unit in set[Unit]().union(*skips) - there]
    if unknown or not skips:
        raise ValueError(
            f"blocks {unknown} cannot be skipped in a model that has {model.kept_blocks}; "
            "give at least one set of blocks, all out of these"
        )
    at_once, held = (at_once, 16 * at_once) if at_once else _limits(frames)
    backbone = model.backbone
    clips = frames.reshape(-1, backbone.geometry.clip_frames, *frames.shape[2:])
    held_per_clip = len(skips) * backbone.tokens_per_clip * backbone.geometry.width
    steps = [
        _skipped_steps(backbone, part, model.kept_blocks, skips, at_once)
        for part in torch.split(clips, max(1, held // held_per_clip))
    ]
    joined = torch.cat(steps, dim=1)  # (S, B·N, slices, feature_width)
    features = on_grid(joined.flatten(0, 1), len(skips) * len(frames), model.grid)
    return features.view(len(skips), len(frames), *features.shape[1:])


def _skipped_steps(
    backbone: Backbone,
    clips: Tensor,
    blocks: Sequence[int],
    skips: Sequence[Skip],
    at_once: int,
) -> Tensor:
    """Pooled clips for each skip: clips (n, ...) -> (S, n, slices, feature_width)."""
    states = {Skip(): backbone.embed(clips)}
    reached = Skip()
    for index in blocks:
        own = Skip({index, *(SubLayer(index, name) for name in SUB_LAYERS)})
        reached |= own
        live = list(dict.fromkeys(skip & reached for skip in skips))
        ran: dict[Skip, Tensor] = {}
        for skipped in dict.fromkeys(state & own for state in live if index not in state):
            through = [state for state in live if state & own == skipped]
            inputs = [states[state - own] for state in through]
            without = [part.name for part in skipped if isinstance(part, SubLayer)]
            outputs = _run_stacked(backbone, index, inputs, at_once, without)
            ran |= zip(through, outputs, strict=True)
        states = {s: ran[s] if s in ran else states[s - own] for s in live}
    steps = {s: backbone.pool_clips(tokens) for s, tokens in states.items()}
    return torch.stack([steps[skip] for skip in skips])


def _run_stacked(
    backbone: Backbone,
    index: int,
    inputs: list[Tensor],
    at_once: int,
    without: Collection[SubLayerName],
) -> list[Tensor]:
    """The outputs of one block for several inputs of one shape (n, n_tokens, width)."""
    parts = torch.split(torch.cat(inputs), max(1, at_once // inputs[0][0].numel()))
    outputs = torch.cat([backbone.run_block(index, part, without)[1] for part in parts])
    return list(torch.split(outputs, len(inputs[0])))


def _limits(tensor: Tensor) -> tuple[int, int]:
    return _CPU if tensor.device.type == "cpu" else _GPU
