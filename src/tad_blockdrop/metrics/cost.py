"""What one window costs, from shapes alone: multiply-accumulates, true and as the paper prints.

A multiply-accumulate (MAC) is one multiplication and one addition of a matrix product or a
convolution; norms, activations, softmax and element-wise work are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tad_blockdrop.config import BackboneConfig, DetectorConfig, PyramidConfig, WindowConfig


@dataclass(frozen=True)
class Macs:
    """MACs of one window: the patch embedding, one block, all kept blocks, pyramid and head."""

    patch_embedding: int
    block: int
    blocks: int
    pyramid: int
    head: int

    @property
    def total(self) -> int:
        """All of the detector."""
        return self.patch_embedding + self.blocks + self.pyramid + self.head


def macs(
    config: DetectorConfig,
    window: WindowConfig,
    n_classes: int,
    kept_blocks: Sequence[int] | None = None,
) -> Macs:
    """MACs of the detector for one window; ``kept_blocks`` none means all of the backbone's.

    Local attention windows do not reduce the count: the whole product is computed and masked.
    """
    backbone, pyramid = config.backbone, config.pyramid
    tokens, clips = tokens_per_clip(backbone, window), window.frames // backbone.clip_frames
    width, hidden = backbone.width, int(backbone.width * backbone.mlp_ratio)
    # q, k, v and the output projection; the two attention products; the two MLP layers
    block = clips * (4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * hidden)
    n_blocks = backbone.depth if kept_blocks is None else len(kept_blocks)
    tubelet = 3 * backbone.tubelet * backbone.patch**2
    steps = [window.grid // 2**level for level in range(pyramid.levels)]
    kernel, towers = config.head.kernel, 2 * config.head.tower_layers * pyramid.width
    return Macs(
        patch_embedding=clips * tokens * width * tubelet,
        block=block,
        blocks=n_blocks * block,
        pyramid=_pyramid(pyramid, width, steps),
        head=sum(steps) * kernel * pyramid.width * (towers + n_classes + 2),
    )


def tokens_per_clip(backbone: BackboneConfig, window: WindowConfig) -> int:
    """Tokens that attend to each other in one clip."""
    return backbone.clip_frames // backbone.tubelet * (window.crop // backbone.patch) ** 2


def _pyramid(config: PyramidConfig, in_width: int, steps: Sequence[int]) -> int:
    width = config.width
    inputs = [in_width, *[width] * (config.embed_layers - 1)]
    embedding = sum(steps[0] * config.embed_kernel * inner * width for inner in inputs)
    lengths = [steps[0]] * config.stem_blocks + list(steps[1:])
    # per block: three depth-wise convolutions, four projections, two products, the MLP
    blocks = sum(
        9 * t * width + 4 * t * width**2 + 2 * t**2 * width + 8 * t * width**2 for t in lengths
    )
    return embedding + blocks


def paper_macs(n_blocks: int, tokens: int, width: int, head_macs: float) -> float:
    """What the paper's tables print for ``tokens`` per window (arXiv 2503.16916).

    The formula, n·(4·N·d² + 8·N·d) + head, reproduces its values to 0.1 G. It leaves out most of
    the MLP, the attention products and the patch embedding; ``macs`` counts them.
    """
    return n_blocks * (4 * tokens * width**2 + 8 * tokens * width) + head_macs
