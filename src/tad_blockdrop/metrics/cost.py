"""What a detector costs, from shapes alone: parameters, and multiply-accumulates of one window.

A multiply-accumulate (MAC) is one multiplication and one addition of a matrix product or a
convolution; norms, activations, softmax and element-wise work are not counted. PyTorch's own
counter counts them while the model runs on tensors without memory, so that any kind of backbone,
neck and head can be counted. What the paper prints instead is here too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from tad_blockdrop.config import DetectorConfig, WindowConfig
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.units import Unit, part_of_block

T = TypeVar("T")


@dataclass(frozen=True)
class Macs:
    """MACs of one window: before and after the blocks, the first block, all kept, the rest."""

    embedding: int
    block: int
    blocks: int
    pyramid: int
    head: int

    @property
    def total(self) -> int:
        """All of the detector."""
        return self.embedding + self.blocks + self.pyramid + self.head


def count_parameters(
    config: DetectorConfig,
    n_classes: int,
    window: WindowConfig,
    kept_blocks: Sequence[Unit] | None = None,
) -> int:
    """How many numbers the detector learns; ``kept_blocks`` none means all of the backbone's."""
    with torch.device("meta"):
        model = Detector(config, n_classes, window, kept_blocks)
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def macs(
    config: DetectorConfig,
    n_classes: int,
    window: WindowConfig,
    kept_blocks: Sequence[Unit] | None = None,
) -> Macs:
    """MACs of the detector for one window; ``kept_blocks`` none means all of the backbone's.

    Blocks of which the same is left compute the same, so that one of them is counted for all.
    Local attention windows do not reduce the count: the whole product is computed and masked.
    """
    with torch.device("meta"):
        model = Detector(config, n_classes, window, kept_blocks).eval()
        frames = torch.zeros(1, window.frames, window.crop, window.crop, 3)
        mask = torch.ones(1, window.grid, dtype=torch.bool)
    backbone = model.backbone
    embedding, tokens = _count(lambda: backbone.embed(frames))
    alike = [part_of_block(unit) for unit in model.kept_units]
    examples = dict(zip(alike, model.kept_blocks, strict=True))
    counted = {
        part: _count(partial(backbone.run_block, index, tokens))[0]
        for part, index in examples.items()
    }
    pooling, features = _count(lambda: backbone.pool(tokens, 1, window.grid))
    pyramid, maps = _count(lambda: model.pyramid(features, mask))
    head, _ = _count(lambda: model.head(*maps))
    each = [counted[part] for part in alike]
    return Macs(embedding + pooling, each[0], sum(each), pyramid, head)


def _count(work: Callable[[], T]) -> tuple[int, T]:
    """MACs of some work, and its result."""
    with FlopCounterMode(display=False) as counter:
        result = work()
    return counter.get_total_flops() // 2, result


def paper_macs(n_blocks: int, tokens: int, width: int, head_macs: float) -> float:
    """What the paper's tables print for ``tokens`` per window (arXiv 2503.16916).

    The formula, n·(4·N·d² + 8·N·d) + head, reproduces its values to 0.1 G. It leaves out most of
    the MLP, the attention products and the patch embedding; ``macs`` counts them.
    """
    return n_blocks * (4 * tokens * width**2 + 8 * tokens * width) + head_macs
