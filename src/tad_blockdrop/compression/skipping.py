"""Many shortened models in one pass: what a detector says when some of its blocks are skipped.

A *skip* is the set of original indices of blocks replaced by the identity. Two skips that agree
on the blocks before j share everything computed before j, so each distinct state is computed once:
at block j the live states are the distinct intersections of the skips with {0..j-1}, and all states
that need block j go through it stacked in the batch. Candidates of a ranking (singletons), pairs
of blocks (looking ahead) and the growing sets of one-shot dropping are all the same to this.

For the L singletons that is (L - 1)(L + 2) / 2 block evaluations instead of L (L - 1), a share of
1/2 + 1/L; the results are those of L separate models.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.vit import VisionTransformer

Skip = frozenset[int]

CHUNK_TOKENS = 16_384
"""Tokens that go through a block at once: enough to fill the machine, few enough for its caches."""


def skipped_features(
    model: Detector, frames: Tensor, skips: Sequence[Skip], chunk_tokens: int = CHUNK_TOKENS
) -> Tensor:
    """Backbone features with each of S skips: frames (B, T, H, W, 3) -> (S, B, width, grid).

    Clips are encoded independently, so they are taken a few at a time: memory is that of about
    ``chunk_tokens`` tokens inside a block, plus one clip's tokens per live state, whatever the
    length of the window. ``model`` should be in evaluation mode (drop path is random otherwise).
    Raises ValueError for a skipped block that the model does not have.
    """
    unknown = sorted(set().union(*skips) - set(model.kept_blocks))
    if unknown or not skips:
        raise ValueError(
            f"blocks {unknown} cannot be skipped, the model has {model.kept_blocks}; "
            "give at least one set of blocks that it has"
        )
    backbone = model.backbone
    clip = backbone.config.clip_frames
    clips = frames.reshape(-1, clip, *frames.shape[2:])
    per_clip = len(skips) * len(backbone.positions)
    steps = [
        _clip_steps(backbone, part, model.kept_blocks, skips, chunk_tokens)
        for part in clips.split(max(1, chunk_tokens // per_clip))
    ]
    joined = torch.cat(steps, dim=1)  # (S, B·N, slices, width)
    batch = len(skips) * len(frames)
    pooled = backbone.pool(joined.flatten(0, 1), batch, model.window.grid)
    return pooled.unflatten(0, (len(skips), len(frames)))


def _clip_steps(
    backbone: VisionTransformer,
    clips: Tensor,
    blocks: Sequence[int],
    skips: Sequence[Skip],
    chunk_tokens: int,
) -> Tensor:
    """The spatial means of every skip's tokens: clips (n, ...) -> (S, n, slices, width)."""
    states = {Skip(): backbone.embed(clips)}
    reached: Skip = Skip()
    for index in blocks:
        reached |= {index}
        live = list(dict.fromkeys(skip & reached for skip in skips))
        through = [state for state in live if index not in state]
        outputs = _run_stacked(backbone, index, [states[s] for s in through], chunk_tokens)
        ran = dict(zip(through, outputs, strict=True))
        states = {s: ran[s] if s in ran else states[s - {index}] for s in live}
    slices = backbone.config.clip_frames // backbone.config.tubelet
    # Pooling a clip as if it were a whole window of its own length leaves its spatial means.
    means = {s: backbone.pool(x, len(x), slices).mT for s, x in states.items()}
    return torch.stack([means[s] for s in skips])


def _run_stacked(
    backbone: VisionTransformer, index: int, inputs: list[Tensor], chunk_tokens: int
) -> list[Tensor]:
    if not inputs:
        return []
    stacked = torch.cat(inputs)
    rows = max(1, chunk_tokens // stacked.shape[1])
    out = torch.cat([backbone.run_block(index, part)[1] for part in stacked.split(rows)])
    return list(out.split(len(inputs[0])))
