"""The detector: frames -> class logits and segment offsets at every point of the pyramid.

One class serves as teacher, student, candidate and export; instances differ in ``kept_blocks``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tad_blockdrop.config import DetectorConfig, WindowConfig
from tad_blockdrop.detector.backbones.videomae import VisionTransformer
from tad_blockdrop.detector.checkpoint import Checkpoint, CheckpointError
from tad_blockdrop.detector.heads.anchor_free import Head, Points
from tad_blockdrop.detector.necks.attention import Pyramid

# Numbers (tokens times width) that go through a block at once on a CPU when nothing is learned.
# Four times as many float32, which the MLP holds, are just below 32 MiB: memory that is kept for
# the next (`devices.py`). A window of THUMOS14 takes 0.85 of the time.
_AT_ONCE = 2**21 - 2**12


@dataclass(frozen=True, eq=False)
class DetectorOutput:
    """What the detector says about B windows at P points.

    ``logits`` (B, P, K); ``offsets`` (B, P, 2), non-negative, in strides; ``mask`` (B, P) bool;
    ``features`` (B, width, grid) of the backbone. ``blocks`` and ``mids`` hold, by original block
    index, the outputs of the kept blocks and their states after the attention residual,
    (B·N, n_tokens, width) each; both are empty unless asked for.
    """

    logits: Tensor
    offsets: Tensor
    mask: Tensor
    points: Points
    features: Tensor
    blocks: dict[int, Tensor] = field(default_factory=dict)
    mids: dict[int, Tensor] = field(default_factory=dict)


class Detector(nn.Module):
    """Backbone, pyramid and head for windows of ``window.frames`` frames.

    ``kept_blocks``: original indices of the backbone's blocks; none means all of them.
    """

    def __init__(
        self,
        config: DetectorConfig,
        n_classes: int,
        window: WindowConfig,
        kept_blocks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        depth = config.backbone.depth
        kept = tuple(range(depth)) if kept_blocks is None else tuple(kept_blocks)
        if not kept or sorted(set(kept)) != list(kept) or not set(kept) <= set(range(depth)):
            raise ValueError(
                f"kept_blocks {kept} must be distinct, ascending indices of a backbone of "
                f"{depth} blocks (0 to {depth - 1}), at least one"
            )
        if window.frames % config.backbone.clip_frames:
            raise ValueError(
                f"window.frames ({window.frames}) must be a multiple of "
                f"backbone.clip_frames ({config.backbone.clip_frames})"
            )
        self.config, self.n_classes, self.window = config, n_classes, window
        self.backbone = VisionTransformer(config.backbone, window.crop, kept)
        self.pyramid = Pyramid(config.backbone.width, config.pyramid, window.grid)
        self.head = Head(config.pyramid.width, config.head, n_classes, window.grid)

    @property
    def kept_blocks(self) -> tuple[int, ...]:
        """Original indices of the blocks that are there, in order."""
        return tuple(int(name) for name in self.backbone.blocks)

    def drop_block(self, index: int) -> None:
        """Remove the block of original ``index`` in place, with its weights."""
        if index not in self.kept_blocks or len(self.kept_blocks) == 1:
            raise ValueError(
                f"block {index} cannot be dropped from blocks {self.kept_blocks}: "
                "it must be one of them, and one must remain"
            )
        del self.backbone.blocks[str(index)]

    def forward(self, frames: Tensor, mask: Tensor, return_blocks: bool = False) -> DetectorOutput:
        """Frames (B, T, H, W, 3) 0..255, mask (B, grid) bool; T = ``window.frames``."""
        tokens = self.backbone.embed(frames)
        blocks: dict[int, Tensor] = {}
        mids: dict[int, Tensor] = {}
        for index in self.kept_blocks:
            mid, tokens = self.run_block(index, tokens)
            if return_blocks:
                mids[index], blocks[index] = mid, tokens
        features = self.backbone.pool(tokens, len(frames), self.window.grid)
        return self.detect(features, mask, blocks, mids)

    def run_block(self, index: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The backbone's block of original ``index`` on clips (n, n_tokens, width), some at a time.

        Clips do not see each other, so that only speed and memory follow from how many go through
        the block together. Returns (after the attention residual, the block's output).
        """
        clips = max(1, _AT_ONCE // tokens[0].numel())
        whole = torch.is_grad_enabled() or torch.compiler.is_compiling()  # or exported
        if whole or tokens.device.type != "cpu" or len(tokens) <= clips:
            return self.backbone.run_block(index, tokens)
        parts = [self.backbone.run_block(index, part) for part in torch.split(tokens, clips)]
        mids, outs = zip(*parts, strict=True)
        return torch.cat(mids), torch.cat(outs)

    def detect(
        self,
        features: Tensor,
        mask: Tensor,
        blocks: dict[int, Tensor] | None = None,
        mids: dict[int, Tensor] | None = None,
    ) -> DetectorOutput:
        """Pyramid and head only: features (B, width, grid), mask (B, grid) bool.

        ``blocks`` and ``mids`` are handed on into the output.
        """
        maps, masks = self.pyramid(features, mask)
        logits, offsets = self.head(maps, masks)
        point_mask = torch.cat(masks, dim=1)
        return DetectorOutput(
            logits, offsets, point_mask, self.head.points, features, blocks or {}, mids or {}
        )


def from_checkpoint(checkpoint: Checkpoint, device: str | torch.device = "cpu") -> Detector:
    """The detector of a checkpoint, in evaluation mode.

    Raises CheckpointError if the weights do not belong to the architecture the checkpoint
    describes.
    """
    size = (
        checkpoint.detector, len(checkpoint.classes), checkpoint.window, checkpoint.kept_blocks
    )  # fmt: skip
    try:
        with torch.device("meta"):  # first without memory: sizes may be forged
            Detector(*size).load_state_dict(checkpoint.weights, assign=True)
        model = Detector(*size)
        model.load_state_dict(checkpoint.weights)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint's weights do not fit the architecture it describes (blocks "
            f"{checkpoint.kept_blocks}, {len(checkpoint.classes)} classes); was it edited? {error}"
        ) from error
    return model.to(device).eval()


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's weights on the CPU, which further training does not touch."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in model.state_dict().items()
    }
