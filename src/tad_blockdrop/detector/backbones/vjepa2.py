"""V-JEPA 2: clips encoded with rotary positions in time, row and column (arXiv 2506.09985).

The layers are those of the package ``transformers``, which is only imported to build one.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from tad_blockdrop.config import VJEPA2Config
from tad_blockdrop.config.backbones import NEEDS_TRANSFORMERS, PRETRAINED
from tad_blockdrop.detector.backbones.contract import Backbone, Branch, Hidden, block_drop_rate
from tad_blockdrop.detector.units import SubLayerName
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.model_config import refuse_other_model
from tad_blockdrop.detector.weights.network import find_network
from tad_blockdrop.detector.weights.reading import flaw_of, read_weights
from tad_blockdrop.errors import BlockDropError

PROJECTION = "embeddings.patch_embeddings.proj.weight"
# Keys of our configuration and what the config.json of `transformers` calls them.
SIZES = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp_ratio": "mlp_ratio",
    "patch": "patch_size",
    "tubelet": "tubelet_size",
}


class VJEPA2(Backbone):
    """The encoder of ``transformers.VJEPA2Model``; holds only the blocks of ``kept_blocks``."""

    config: VJEPA2Config
    mean: Tensor
    std: Tensor
    pixel_mean = tuple(255 * value for value in IMAGENET_DEFAULT_MEAN)
    pixel_std = tuple(255 * value for value in IMAGENET_DEFAULT_STD)
    lora_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "attn.qkv": ("attention.query", "attention.key", "attention.value"),
        "attn.proj": ("attention.proj",),
        "mlp.fc1": ("mlp.fc1",),
        "mlp.fc2": ("mlp.fc2",),
    }
    embedding: ClassVar[tuple[str, ...]] = ("embeddings.",)
    sub_layers: ClassVar = {"attention": ("attention", "norm1"), "mlp": ("mlp", "norm2")}

    def __init__(self, config: VJEPA2Config, crop: int, kept_blocks: Sequence[int]) -> None:
        super().__init__(config, crop)
        try:
            from transformers import VJEPA2Config as TheirConfig
            from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Embeddings, VJEPA2Layer
        except ImportError as error:
            raise BlockDropError(NEEDS_TRANSFORMERS) from error
        # The layers number their tokens by these two: crop_size gives the rows and columns.
        theirs = TheirConfig(
            crop_size=crop,
            frames_per_clip=config.clip_frames,
            drop_path_rate=config.drop_path,
            attn_implementation="sdpa",
            **{name: getattr(config, key) for key, name in SIZES.items()},
        )
        sizes = (config.width, config.heads, config.mlp_ratio)
        self.embeddings = VJEPA2Embeddings(theirs, config.width)
        self.blocks = nn.ModuleDict(
            {str(i): VJEPA2Layer(theirs, block_drop_rate(config, i), *sizes) for i in kept_blocks}
        )
        self.layernorm = nn.LayerNorm(config.width, eps=theirs.layer_norm_eps)
        self.register_buffer("mean", torch.tensor(self.pixel_mean), persistent=False)
        self.register_buffer("std", torch.tensor(self.pixel_std), persistent=False)
        self.apply(_initialise)

    def embed_clips(self, clips: Tensor) -> Tensor:
        """(n, clip_frames, H, W, 3) pixels 0..255 -> tokens (n, n_tokens, width)."""
        pixels = (clips.float() - self.mean) / self.std
        tokens: Tensor = self.embeddings(pixels.permute(0, 1, 4, 2, 3))
        return tokens

    def apply_block(self, block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(After the attention residual, the block's output), both (n, n_tokens, width)."""
        mid = out = tokens
        if block.attention is not None:
            attended, _ = block.attention(block.norm1(tokens))
            mid = out = block.drop_path(attended) + tokens
        if block.mlp is not None:
            out = block.drop_path(block.mlp(block.norm2(mid))) + mid
        return mid, out

    def branches(self, block: Any) -> tuple[Branch, ...]:
        """The ends of attention and MLP."""
        ends = (block.attention and block.attention.proj, block.mlp and block.mlp.fc2)
        return tuple(Branch(last) for last in ends if last is not None)

    def hidden(self, block: Any, branch: SubLayerName) -> Hidden | None:
        """The heads, or the channels between the two layers of the MLP."""
        if branch == "attention":
            heads = block.attention
            first = heads and (heads.query, heads.key, heads.value)
            return heads and Hidden(block.norm1, first, heads.attention_head_size)
        return block.mlp and Hidden(block.norm2, (block.mlp.fc1,))

    def pool_clips(self, tokens: Tensor) -> Tensor:
        """The final norm and the mean over space: (n, n_tokens, width) -> (n, slices, width)."""
        steps = (len(tokens), self.geometry.slices, -1, self.config.width)
        normed: Tensor = self.layernorm(tokens)
        return normed.reshape(steps).mean(dim=2)

    def load_weights(self, path: str | Path) -> str:
        """From a model folder of ``transformers``, or a weights file with its names.

        Predictor and classifier are left out, and so are blocks that were dropped. Sizes are
        compared with the folder's ``config.json`` too, as weights do not tell the heads.
        """
        if str(path) == PRETRAINED:
            raise FormatError(
                "this program does not download V-JEPA 2: download a model yourself (config.json "
                "and model.safetensors, of facebook/vjepa2-vitl-fpc64-256 for instance) and give "
                "its folder as detector.backbone.weights"
            )
        given = read_weights(path)
        refuse_other_model(path, self.config, "vjepa2", SIZES)
        network = find_network(given, PROJECTION)
        part = network.of(given) if network else {}
        encoder = {name: t for n, t in part.items() if (name := self._name_here(n)) is not None}
        self._compare(encoder, path)
        self.load_state_dict(encoder)
        left_out = len(given) - len(encoder)
        remark = f"; {network.remark}" if network and network.others else ""
        taken = f"{len(encoder)} tensors taken, {left_out} left out"
        return f"V-JEPA 2 of transformers: {taken}{remark}"

    def _name_here(self, theirs: str) -> str | None:
        """What a tensor of a file is called here; none if it stays out."""
        name = re.sub(r"^layer\.", "blocks.", theirs)
        block = re.match(r"blocks\.(\d+)\.", name)
        dropped = block and block[1] not in self.blocks and int(block[1]) < self.config.depth
        return None if dropped else name

    def _compare(self, encoder: Mapping[str, Tensor], path: str | Path) -> None:
        """Refuse tensors that are missing, unknown, of another shape or not finite."""
        own = self.state_dict()
        for name in sorted(own.keys() | encoder.keys()):
            theirs = "encoder." + re.sub(r"^blocks\.", "layer.", name)
            if name not in encoder:
                problem = "is missing"
            elif name not in own:
                problem = "has no place in this backbone"
            elif encoder[name].shape != own[name].shape:
                shape, needed = tuple(encoder[name].shape), tuple(own[name].shape)
                problem = f"is of shape {shape}, not {needed}"
            elif flaw := flaw_of(encoder[name]):
                problem = flaw
            else:
                continue
            raise FormatError(
                f"{path}: {theirs} {problem}. Is it a whole V-JEPA 2 model as transformers saves "
                "it, and has detector.backbone its sizes?"
            )


def _initialise(module: nn.Module) -> None:
    """Truncated normal weights (std 0.02) and zero biases, as ``transformers`` begins."""
    if isinstance(module, nn.Linear | nn.Conv3d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
