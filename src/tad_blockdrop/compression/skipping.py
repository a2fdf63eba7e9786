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

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

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

Skip = frozenset[Unit]

# Numbers (tokens times width) that go through a block at once, and that are held between blocks.
# Measured best on CPUs, where the first should stay in the cache. For GPUs counted only: with
# a quarter at once THUMOS14-S made 310 calls of blocks to rank a window, with these it makes 90.
_CPU, _GPU = (2**18, 2**22), (2**24, 2**26)


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


def skipped_features(model: BlockModel, frames: Tensor, skips: Sequence[Skip]) -> Tensor:
    """Features with each of S skips: frames (B, T, H, W, 3) -> (S, B, feature_width, grid).

    Clips are encoded independently, so they are taken a few at a time: memory does not grow with
    the length of the window. ``model`` should be in evaluation mode, since drop path is random
    otherwise. Raises ValueError without any skip or for a unit that the model does not have.
    """
    there = {*model.kept_blocks, *sub_layers(model.kept_units)}
    unknown = [as_stored(unit) for unit in set[Unit]().union(*skips) - there]
    if unknown or not skips:
        raise ValueError(
            f"blocks {unknown} cannot be skipped in a model that has {model.kept_blocks}; "
            "give at least one set of blocks, all out of these"
        )
    at_once, held = _limits(frames)
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
