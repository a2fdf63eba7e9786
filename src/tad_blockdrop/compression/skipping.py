"""Many shortened models in one pass: what a detector says when some of its blocks are skipped.

A *skip* is the set of original indices of blocks replaced by the identity. Two skips that agree
on the blocks before j share everything computed before j, so each distinct state is computed once:
after block j the live states are the distinct intersections of the skips with the blocks up to j,
and all states that need block j go through it stacked in the batch. Candidates of a ranking
(single blocks), pairs of blocks (looking ahead) and the growing sets of one-shot dropping are all
the same to this.

For the L single blocks that is (L - 1)(L + 2) / 2 block evaluations instead of L (L - 1), a share
of 1/2 + 1/L; the results are those of L separate models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tad_blockdrop.detector.backbones.videomae import VisionTransformer
from tad_blockdrop.detector.model import Detector, DetectorOutput

Skip = frozenset[int]

# Numbers that go through a layer at once: measured best on CPUs, where they should stay in the
# cache; other devices want more work per call.
_AT_ONCE_CPU, _AT_ONCE = 2**18, 2**22
_HELD = 16  # times as many are held between layers


def skipped_outputs(
    model: Detector, frames: Tensor, mask: Tensor, skips: Sequence[Skip]
) -> Iterator[DetectorOutput]:
    """The output of ``model`` for each of ``skips``, in their order.

    frames (B, T, H, W, 3), mask (B, grid) as for the model itself. Outputs come one after the
    other, so that not all need to be kept. Arguments and errors as in :func:`skipped_features`.
    """
    features = skipped_features(model, frames, skips)
    windows = max(1, _HELD * _at_once(frames) // features[0, 0].numel())
    for part in torch.split(features, max(1, windows // len(mask))):
        output = model.detect(part.flatten(0, 1), mask.repeat(len(part), 1))
        for i in range(len(part)):
            own = slice(i * len(mask), (i + 1) * len(mask))
            yield replace(
                output,
                logits=output.logits[own],
                offsets=output.offsets[own],
                mask=output.mask[own],
                features=output.features[own],
            )


def skipped_features(
    model: Detector, frames: Tensor, skips: Sequence[Skip], at_once: int | None = None
) -> Tensor:
    """Backbone features with each of S skips: frames (B, T, H, W, 3) -> (S, B, width, grid).

    Clips are encoded independently, so they are taken a few at a time: memory does not grow with
    the length of the window. ``at_once`` limits the numbers (tokens times width) that go through
    a block together; none takes a good value for the device. ``model`` should be in evaluation
    mode, since drop path is random otherwise. Raises ValueError without any skip or for a block
    that the model does not have.
    """
    unknown = sorted(set().union(*skips) - set(model.kept_blocks))
    if unknown or not skips:
        raise ValueError(
            f"blocks {unknown} cannot be skipped in a model that has {model.kept_blocks}; "
            "give at least one set of blocks, all out of these"
        )
    at_once = at_once or _at_once(frames)
    backbone = model.backbone
    clips = frames.reshape(-1, backbone.config.clip_frames, *frames.shape[2:])
    held_per_clip = len(skips) * backbone.positions.numel()
    steps = [
        _skipped_steps(backbone, part, model.kept_blocks, skips, at_once)
        for part in torch.split(clips, max(1, _HELD * at_once // held_per_clip))
    ]
    joined = torch.cat(steps, dim=1)  # (S, B·N, slices, width)
    pooled = backbone.pool(joined.flatten(0, 1), len(skips) * len(frames), model.window.grid)
    return pooled.view(len(skips), len(frames), *pooled.shape[1:])


def _skipped_steps(
    backbone: VisionTransformer,
    clips: Tensor,
    blocks: Sequence[int],
    skips: Sequence[Skip],
    at_once: int,
) -> Tensor:
    """Spatial means of the tokens for each skip: clips (n, ...) -> (S, n, slices, width)."""
    states = {Skip(): backbone.embed(clips)}
    reached = Skip()
    for index in blocks:
        reached |= {index}
        live = list(dict.fromkeys(skip & reached for skip in skips))
        through = [state for state in live if index not in state]
        outputs = _run_stacked(backbone, index, [states[s] for s in through], at_once)
        ran = dict(zip(through, outputs, strict=True))
        states = {s: ran[s] if s in ran else states[s - {index}] for s in live}
    slices = backbone.config.clip_frames // backbone.config.tubelet
    # Pooling a clip as if it were a whole window of its own length leaves its spatial means.
    means = {s: backbone.pool(tokens, len(tokens), slices).mT for s, tokens in states.items()}
    return torch.stack([means[skip] for skip in skips])


def _run_stacked(
    backbone: VisionTransformer, index: int, inputs: list[Tensor], at_once: int
) -> list[Tensor]:
    """The outputs of one block for several inputs of one shape (n, n_tokens, width)."""
    if not inputs:
        return []
    parts = torch.split(torch.cat(inputs), max(1, at_once // inputs[0][0].numel()))
    outputs = torch.cat([backbone.run_block(index, part)[1] for part in parts])
    return list(torch.split(outputs, len(inputs[0])))


def _at_once(tensor: Tensor) -> int:
    return _AT_ONCE_CPU if tensor.device.type == "cpu" else _AT_ONCE
