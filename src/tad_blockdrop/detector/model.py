"""Models made of a backbone whose blocks can be dropped, and what reads its features.

``BlockModel`` is all that compression and training know of a model; ``Detector`` is the one of
temporal action detection. One class serves as teacher, student, candidate and export; instances
differ in ``kept_blocks``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from tad_blockdrop.config import DetectorConfig, WindowConfig
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.backbones.contract import Backbone, on_grid
from tad_blockdrop.detector.checkpoint import Checkpoint, CheckpointError
from tad_blockdrop.detector.heads import make_head
from tad_blockdrop.detector.heads.contract import Points
from tad_blockdrop.detector.necks import make_neck
from tad_blockdrop.detector.units import Unit, block_of

# Numbers (tokens times width) that go through a block at once on a CPU when nothing is learned.
# Four times as many float32, which the MLP holds, are just below 32 MiB: memory that is kept for
# the next (`runtime.devices`). A window of THUMOS14 takes 0.85 of the time.
_AT_ONCE = 2**21 - 2**12


class Inputs(Protocol):
    """What a model takes of a batch of B windows.

    ``frames`` uint8 (B, T, H, W, 3) and ``mask`` bool (B, grid), true where real; or in the place
    of frames the backbone's ``features`` (B, feature_width, grid) of them, with
    ``teacher_features``, those of a teacher, where the model learns from one.
    """

    @property
    def frames(self) -> Tensor: ...
    @property
    def mask(self) -> Tensor: ...
    @property
    def features(self) -> Tensor | None: ...
    @property
    def teacher_features(self) -> Tensor | None: ...


ReadOut = Callable[[Tensor, Tensor], "Output"]


class Spread(Protocol):
    """A batch of which this process has some clips, and others the rest."""

    def join(self, steps: Tensor) -> Tensor:
        """The steps of all clips (B·N, slices, feature_width), of those of the own ones."""

    def read_out(self, read_out: ReadOut, features: Tensor, mask: Tensor) -> "Output":
        """``read_out(features, mask)``, of which this process does its part."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Output:
    """What a model says of B windows; the fields of a subclass are tensors (B, ...).

    ``features`` (B, feature_width, grid) are the backbone's. ``blocks`` and ``mids`` hold, by
    original index, the outputs of blocks and their states after the attention residual,
    (B·N, n_tokens, width) each, as far as they were asked for.
    """

    features: Tensor
    blocks: dict[int, Tensor] = field(default_factory=dict)
    mids: dict[int, Tensor] = field(default_factory=dict)

    def __getitem__(self, own: slice) -> Self:
        """Some of the windows, without states of blocks."""
        return self.of_windows(lambda value: value[own])

    def of_windows(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Other windows, by what makes their tensors of these; without states of blocks."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        made = {name: change(value) for name, value in parts.items() if isinstance(value, Tensor)}
        return replace(self, **made, blocks={}, mids={})


class BlockModel(nn.Module, ABC):
    """A backbone and what reads its features (B, feature_width, ``grid``)."""

    backbone: Backbone
    grid: int

    @property
    def kept_blocks(self) -> tuple[int, ...]:
        """Original indices of the blocks that are there, in order."""
        return tuple(int(name) for name in self.backbone.blocks)

    @property
    def kept_units(self) -> tuple[Unit, ...]:
        """The same, with the one sub-layer that is left of a block in the place of its index."""
        return self.backbone.kept_units

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.parameters()).device

    @abstractmethod
    def read_out(self, features: Tensor, mask: Tensor) -> Output:
        """All that comes after the backbone: features (B, feature_width, grid), mask (B, grid)."""

    def forward(
        self,
        frames: Tensor,
        mask: Tensor,
        outs: Collection[int] = (),
        mids: Collection[int] = (),
        spread: Spread | None = None,
    ) -> Output:
        """Frames (B, T, H, W, 3) 0..255, mask (B, grid) bool.

        ``outs`` and ``mids``: original indices of the blocks whose states the output shall hold.
        ``spread``: says that frames are only some clips of the windows, and where the others are.
        """
        kept_outs: dict[int, Tensor] = {}
        kept_mids: dict[int, Tensor] = {}
        tokens = self.backbone.embed(frames)
        for index in self.kept_blocks:
            mid, tokens = self.run_block(index, tokens)
            if index in outs:
                kept_outs[index] = tokens
            if index in mids:
                kept_mids[index] = mid
        if spread is None:
            output = self.read_out(self.backbone.pool(tokens, len(frames), self.grid), mask)
        else:
            steps = spread.join(self.backbone.pool_clips(tokens))
            features = on_grid(steps, len(mask), self.grid)
            output = spread.read_out(self.read_out, features, mask)
        return replace(output, blocks=kept_outs, mids=kept_mids)

    def output_of(self, batch: Inputs) -> Output:
        """The output for a batch, from its frames or from their features if it holds these."""
        if batch.features is not None:
            return self.read_out(batch.features, batch.mask)
        output: Output = self(batch.frames, batch.mask)
        return output

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


@contextmanager
def evaluating(model: BlockModel) -> Iterator[None]:
    """Evaluation mode without gradients; the mode it had comes back after."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectorOutput(Output):
    """What the detector says about B windows at P points.

    ``logits`` (B, P, K); ``offsets`` (B, P, 2), non-negative, in strides; ``mask`` (B, P) bool.
    """

    logits: Tensor
    offsets: Tensor
    mask: Tensor
    points: Points


class Detector(BlockModel):
    """Backbone, neck and head for windows of ``window.frames`` frames.

    ``kept_blocks``: original indices of the backbone's blocks, or in the place of one the only
    sub-layer that is left of it; none means all of them.
    """

    def __init__(
        self,
        config: DetectorConfig,
        n_classes: int,
        window: WindowConfig,
        kept_blocks: Sequence[Unit] | None = None,
    ) -> None:
        super().__init__()
        geometry = config.backbone.geometry
        depth = geometry.depth
        kept = tuple(range(depth)) if kept_blocks is None else tuple(kept_blocks)
        blocks = [block_of(unit) for unit in kept]
        if not kept or sorted(set(blocks)) != blocks or not set(blocks) <= set(range(depth)):
            raise ValueError(
                f"kept_blocks {kept} must be distinct, ascending indices of a backbone of "
                f"{depth} blocks (0 to {depth - 1}), at least one"
            )
        if window.frames % geometry.clip_frames:
            raise ValueError(
                f"window.frames ({window.frames}) must be a multiple of the frames of a clip of "
                f"the backbone ({geometry.clip_frames})"
            )
        self.config, self.n_classes, self.window = config, n_classes, window
        self.grid = window.grid
        self.backbone = make_backbone(config.backbone, window.crop, kept)
        self.pyramid = make_neck(geometry.feature_width, config.pyramid, window.grid)
        self.head = make_head(config.pyramid.width, config.head, n_classes, window.grid)

    def read_out(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        """Neck and head only: features (B, feature_width, grid), mask (B, grid) bool."""
        maps, masks = self.pyramid(features, mask)
        logits, offsets = self.head(maps, masks)
        return DetectorOutput(
            logits=logits,
            offsets=offsets,
            mask=torch.cat(masks, dim=1),
            points=self.head.points,
            features=features,
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
