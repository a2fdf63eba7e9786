"""What every backbone is to the rest of the program: tokens in, residual blocks, features out.

A kind is a subclass in a file of its own. Scoring, dropping, alignment, cost, checkpoints and
exports use what stands here and nothing else.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tad_blockdrop.config import BackboneConfig
from tad_blockdrop.detector.units import SubLayer, SubLayerName, Unit


@dataclass(frozen=True, eq=False)
class Branch:
    """Where a residual branch of a block ends: what ``last`` gives is added to the tokens.

    ``scale`` (width,), if there is one, multiplies it before (LayerScale).
    """

    last: nn.Linear
    scale: nn.Parameter | None = None


@dataclass(frozen=True, eq=False)
class Hidden:
    """What the n channels that the last layer of a branch reads are made from.

    Channel j is computed from the normed tokens by the rows j, j + n, ... of each of the ``first``
    layers, which have biases; column j of the last layer reads it. So many neighbours as a
    ``group`` has are computed together and without the others: one channel of an MLP, a head of
    an attention.
    """

    norm: nn.LayerNorm
    first: tuple[nn.Linear, ...]
    group: int = 1


class Backbone(nn.Module, ABC):
    """A stack of residual blocks over the tokens of a clip; clips do not see each other.

    ``blocks`` is an ``nn.ModuleDict`` of the kept blocks, by original index, in order.
    ``pixel_mean`` and ``pixel_std`` (of pixels 0 to 255, by colour) are applied inside ``embed``.
    """

    blocks: nn.ModuleDict
    pixel_mean: Sequence[float]
    pixel_std: Sequence[float]

    # Of a block, the layers that the name of a LoRA target stands for.
    lora_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {
        name: (name,) for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }
    # Of a block, the parts of each sub-layer, first the one that is None where it was dropped. A
    # kind whose blocks are not an attention and then an MLP has none, and drops whole blocks only.
    sub_layers: ClassVar[Mapping[SubLayerName, tuple[str, ...]]] = {}
    # Beginnings of the names of parameters that train beside LoRA, as all norms do.
    embedding: ClassVar[tuple[str, ...]] = ("patch_embed.",)

    def __init__(self, config: BackboneConfig, crop: int) -> None:
        """``crop``: the side of a frame in pixels."""
        super().__init__()
        self.config, self.crop, self.geometry = config, crop, config.geometry
        if crop % self.geometry.patch:
            raise ValueError(
                f"window.crop ({crop}) must be a multiple of the backbone's patch "
                f"({self.geometry.patch})"
            )

    @property
    def tokens_per_clip(self) -> int:
        """Tokens that attend to each other."""
        return self.geometry.tokens(self.crop)

    @abstractmethod
    def embed_clips(self, clips: Tensor) -> Tensor:
        """(n, clip_frames, H, W, 3) pixels 0..255 -> tokens (n, n_tokens, width)."""

    @abstractmethod
    def apply_block(self, block: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The state in the middle of a block (after the attention) and its output.

        Tokens (n, n_tokens, width) in and out. A block with a single branch gives its output twice.
        Of a kind with ``sub_layers``, either of the two may be gone: it adds nothing then.
        """

    def branches(self, block: Any) -> tuple[Branch, ...]:
        """The ends of a block's residual branches, which are what a repair refits.

        The last leads to the block's output, one before it to the state in the middle. A kind
        whose branches do not end in a linear layer has none and cannot be repaired.
        """
        return ()

    def hidden(self, block: Any, branch: SubLayerName) -> Hidden | None:
        """The hidden channels of a block's MLP, or the heads of its attention, for an exchange.

        None where the block lacks the branch, or where they depend on each other.
        """
        return None

    @property
    def kept_units(self) -> tuple[Unit, ...]:
        """What is left: the index of a whole block, or the one sub-layer that a block still has."""
        return tuple(
            SubLayer(int(index), left[0]) if len(left := self._sub_layers_of(block)) == 1
            else int(index)
            for index, block in self.blocks.items()
        )  # fmt: skip

    def drop(self, unit: Unit) -> None:
        """Take a block out, or a sub-layer of one; a block that is left without any is gone."""
        if isinstance(unit, SubLayer):
            block = self.blocks[str(unit.block)]
            if self._sub_layers_of(block) != [unit.name]:
                self.blocks[str(unit.block)] = self._without(block, [unit.name])
                return
            unit = unit.block
        del self.blocks[str(unit)]

    def _sub_layers_of(self, block: nn.Module) -> list[SubLayerName]:
        """Those that a block still has, as they run."""
        parts = self.sub_layers.items()
        return [name for name, (first, *_) in parts if getattr(block, first) is not None]

    def _without(self, block: nn.Module, names: Collection[SubLayerName]) -> nn.Module:
        """The same block, with the same parameters, but none of the parts of these sub-layers."""
        rest = copy(block)
        rest._modules, rest._parameters = dict(block._modules), dict(block._parameters)
        for part in (part for name in names for part in self.sub_layers[name]):
            if hasattr(rest, part):
                setattr(rest, part, None)
        return rest

    @abstractmethod
    def pool_clips(self, tokens: Tensor) -> Tensor:
        """Tokens (n, n_tokens, width) -> steps in time (n, slices, feature_width)."""

    def load_weights(self, path: str | Path) -> str:
        """Take pre-trained weights from a file, a folder, or where the kind gets them from.

        Returns a sentence on what was taken. Raises FormatError if they do not fit.
        """
        from tad_blockdrop.detector.weights.errors import FormatError

        raise FormatError(f"a backbone of kind '{self.config.kind}' takes no weights from {path}")

    def embed(self, frames: Tensor) -> Tensor:
        """Frames (B, T, H, W, 3), 0..255, uint8 or float -> tokens (B·N, n_tokens, width).

        ``N = T / clip_frames``; the clips of one window stay adjacent.
        """
        batch, n_frames, *size = frames.shape
        clip = self.geometry.clip_frames
        if n_frames % clip or size != [self.crop, self.crop, 3]:
            raise ValueError(
                f"frames of shape {tuple(frames.shape)} do not fit a backbone built for "
                f"(batch, a multiple of {clip}, {self.crop}, {self.crop}, 3)"
            )
        return self.embed_clips(frames.reshape(batch * n_frames // clip, clip, *size))

    def run_block(
        self, index: int, tokens: Tensor, without: Collection[SubLayerName] = ()
    ) -> tuple[Tensor, Tensor]:
        """``apply_block`` of the block of original ``index``, checkpointed if configured.

        ``without``: sub-layers that add nothing this time.
        """
        block = self.blocks[str(index)]
        if without:
            block = self._without(block, without)
        if self.config.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(self.apply_block, block, tokens, use_reentrant=False)  # type: ignore[no-any-return]
        return self.apply_block(block, tokens)

    def pool(self, tokens: Tensor, batch: int, grid: int) -> Tensor:
        """Tokens (B·N, n_tokens, width) of B windows -> features (B, feature_width, grid)."""
        return on_grid(self.pool_clips(tokens), batch, grid)


def on_grid(steps: Tensor, batch: int, grid: int) -> Tensor:
    """Steps of clips (B·N, slices, C), joined in time -> features (B, C, grid).

    Average pooling where the grid is coarser than the steps, linear interpolation where finer.
    """
    features = steps.reshape(batch, -1, steps.shape[-1]).transpose(1, 2)
    if grid < features.shape[-1]:
        return _averaged(features, grid)
    # Of one dimension it would be the same, but with no deterministic gradient on CUDA.
    flat = features.unsqueeze(2)
    size = (1, grid)
    return functional.interpolate(flat, size=size, mode="bilinear", align_corners=False).squeeze(2)


def _averaged(features: Tensor, grid: int) -> Tensor:
    """``adaptive_avg_pool1d``, which has no deterministic gradient on CUDA."""
    n = features.shape[-1]
    if n % grid == 0:
        return features.reshape(*features.shape[:2], grid, n // grid).mean(-1)
    ends = [(step * n // grid, -(-(step + 1) * n // grid)) for step in range(grid)]
    return torch.stack([features[..., begin:end].mean(-1) for begin, end in ends], -1)


def block_drop_rate(config: BackboneConfig, index: int) -> float:
    """The drop-path rate of a block: linear in its original index over the full depth.

    So a dropped block changes nothing in the others.
    """
    return config.drop_path * index / max(config.geometry.depth - 1, 1)
