"""Plain vision transformers of timm, frame by frame: DINOv2 and 3, CLIP, SigLIP, EVA-02, DeiT III.

Both of timm's families are here: ``VisionTransformer`` (learned positions) and ``Eva`` (rotary
positions, gated MLPs). Parts and weights are timm's own and have its names.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from timm.layers import Attention, GluMlp, Mlp, SwiGLU
from timm.models import eva, vision_transformer
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import TimmConfig
from tad_blockdrop.config.backbones import PRETRAINED
from tad_blockdrop.detector.backbones.contract import Backbone, Branch, Hidden
from tad_blockdrop.detector.units import SubLayerName
from tad_blockdrop.detector.weights import dinov2
from tad_blockdrop.detector.weights.errors import FormatError, naming
from tad_blockdrop.detector.weights.layout import HEADS
from tad_blockdrop.detector.weights.model_config import model_config, refuse_other_model
from tad_blockdrop.detector.weights.network import find_network
from tad_blockdrop.detector.weights.reading import flaw_of, read_weights

PROJECTION = "patch_embed.proj.weight"  # what every one of these models has
CLIP_PROJECTION = "visual.conv1.weight"  # the same in CLIP's own files
# What the inputs of a branch's last layer come from, by the kind of the attention or MLP.
_FIRST = {Attention: ["qkv"], Mlp: ["fc1"], GluMlp: ["fc1"], SwiGLU: ["fc1_g", "fc1_x"]}


class TimmViT(Backbone):
    """A transformer of timm on single frames, with the final norm that timm gives it.

    Learned positions are resampled to ``crop`` bicubically, when weights are loaded, and without
    antialiasing, as the authors of DINOv2 do: timm's default smooths them, which changes DINOv2's
    features by 2 % and, at small crops, by up to 10 %. (Only for its variants with registers do
    the authors antialias.) Of the blocks, only ``kept_blocks`` are held.
    """

    config: TimmConfig
    pixel_shift: Tensor
    pixel_scale: Tensor
    rope: Tensor | None

    # Some models of the Eva family have layers of their own for q, k and v, and for gate and value.
    lora_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "attn.qkv": ("attn.qkv", "attn.q_proj", "attn.k_proj", "attn.v_proj"),
        "attn.proj": ("attn.proj",),
        "mlp.fc1": ("mlp.fc1", "mlp.fc1_g", "mlp.fc1_x"),
        "mlp.fc2": ("mlp.fc2",),
    }
    sub_layers: ClassVar = {
        "attention": ("attn", "norm1", "ls1", "gamma_1"),
        "mlp": ("mlp", "norm2", "ls2", "gamma_2"),
    }

    def __init__(self, config: TimmConfig, crop: int, kept_blocks: Sequence[int]) -> None:
        super().__init__(config, crop)
        model = make_timm(config, crop)
        self.patch_embed, self.pos_embed = model.patch_embed, model.pos_embed
        self.cls_token, self.reg_token = model.cls_token, model.reg_token
        self.blocks = nn.ModuleDict({str(i): model.blocks[i] for i in kept_blocks})
        self.norm_pre, self.norm, self.fc_norm = model.norm_pre, model.norm, model.fc_norm
        rope = getattr(model, "rope", None)
        self._periods: Tensor | None = getattr(rope, "periods", None)
        self.register_buffer(
            "rope", None if rope is None else rope.eval().get_embed(), persistent=False
        )
        self.pixel_mean = [255 * value for value in model.pretrained_cfg["mean"]]
        self.pixel_std = [255 * value for value in model.pretrained_cfg["std"]]
        for name, values in (("pixel_shift", self.pixel_mean), ("pixel_scale", self.pixel_std)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def embed_clips(self, clips: Tensor) -> Tensor:
        """(n, 1, H, W, 3) pixels 0..255 -> tokens (n, n_tokens, width), prefix tokens first."""
        images = (clips.squeeze(1) - self.pixel_shift) / self.pixel_scale
        tokens = self.patch_embed(images.permute(0, 3, 1, 2))
        for prefix in (self.reg_token, self.cls_token):
            if prefix is not None:
                tokens = torch.cat([prefix.expand(len(tokens), -1, -1), tokens], dim=1)
        if self.pos_embed is not None:  # some models have none for their prefix tokens
            without = self.tokens_per_clip - self.pos_embed.shape[1]
            tokens = tokens + functional.pad(self.pos_embed, (0, 0, without, 0))
        embedded: Tensor = self.norm_pre(tokens)
        return embedded

    def apply_block(self, block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(After the attention residual, the block's output), both (n, n_tokens, width)."""
        mid = out = tokens
        is_eva = isinstance(block, eva.EvaBlock)
        if block.attn is not None:
            rotated = {"rope": self.rope} if is_eva else {}
            attended = block.attn(block.norm1(tokens), **rotated)
            scaled = _scaled(attended, block.gamma_1) if is_eva else block.ls1(attended)
            mid = out = tokens + block.drop_path1(scaled)
        if block.mlp is not None:
            mixed = block.mlp(block.norm2(mid))
            scaled = _scaled(mixed, block.gamma_2) if is_eva else block.ls2(mixed)
            out = mid + block.drop_path2(scaled)
        return mid, out

    def branches(self, block: Any) -> tuple[Branch, ...]:
        """The ends of attention and MLP, with their LayerScale where there is one."""
        if isinstance(block, eva.EvaBlock):
            scales = block.gamma_1, block.gamma_2
        else:
            scales = getattr(block.ls1, "gamma", None), getattr(block.ls2, "gamma", None)
        ends = (block.attn and block.attn.proj, block.mlp and block.mlp.fc2)
        both = zip(ends, scales, strict=True)
        return tuple(Branch(last, scale) for last, scale in both if last is not None)

    def hidden(self, block: Any, branch: SubLayerName) -> Hidden | None:
        """Of an attention with one layer for queries, keys and values, and nothing between heads.

        Of a plain MLP or a gated one, whose gate and value may be one layer or two.
        """
        parts = {"attention": (block.norm1, block.attn), "mlp": (block.norm2, block.mlp)}
        norm, part = parts[branch]
        names = _FIRST.get(type(part), [])
        alone = all(
            isinstance(getattr(part, name, None) or nn.Identity(), nn.Identity)
            for name in ("norm", "q_norm", "k_norm", "gate")
        )
        if not names or not alone or not isinstance(norm, nn.LayerNorm):
            return None
        first = tuple(getattr(part, name) for name in names)
        biased = all(layer.bias is not None for layer in (*first, norm))
        return Hidden(norm, first, getattr(part, "head_dim", 1)) if biased else None

    def pool_clips(self, tokens: Tensor) -> Tensor:
        """Normed, then pooled as configured: (n, n_tokens, width) -> (n, 1, feature_width)."""
        tokens = self.norm(tokens)
        mean = tokens[:, self.geometry.prefix_tokens :].mean(dim=1, keepdim=True)
        parts = {"mean": [mean], "class": [tokens[:, :1]], "both": [tokens[:, :1], mean]}
        pooled = [self.fc_norm(part) for part in parts[self.config.pool]]
        return torch.cat(pooled, dim=-1)

    def load_weights(self, path: str | Path) -> str:
        """From a file in timm's layout (or one that timm can read), or "pretrained": by timm.

        The classifier and blocks that were dropped are left out.
        """
        name = self.config.model
        given = _download(name) if path == PRETRAINED else read_weights(path)
        source = f"timm's weights of {name}" if path == PRETRAINED else str(path)
        if path != PRETRAINED:
            refuse_other_model(path, self.config)
            self._refuse_other_model(path)
        anchors = (PROJECTION, CLIP_PROJECTION, dinov2.PROJECTION)
        network = next((found for each in anchors if (found := find_network(given, each))), None)
        part = network.of(given) if network else given
        if dinov2.PROJECTION in part:
            with naming(source):
                part = dinov2.authors_names(part)
        remark = f"; {network.remark}" if network and network.remark else ""
        if any(key.endswith(CLIP_PROJECTION) for key in given) and "quickgelu" not in name:
            remark += (
                "; OpenAI's own CLIP computes with QuickGELU: take ..._clip_quickgelu_... then"
            )
        weights = _as_timm(part, self.config, self.crop, source)
        problems = self._problems(weights) + self._lost(part, weights)
        if problems:
            more = f" ({len(problems)} tensors do not fit)" if len(problems) > 1 else ""
            raise FormatError(f"{source} does not fit timm's {name}: {problems[0]}{more}")
        taken = {key: weights[key] for key in self.state_dict()}
        self.load_state_dict(taken)
        left_out = len(weights) - len(taken)
        return f"{source}: {len(taken)} tensors taken, {left_out} left out{remark}"

    def _problems(self, weights: Mapping[str, Tensor]) -> list[str]:
        """A remark on every tensor that is missing, of another shape, or has no place here."""
        problems = []
        ours = self.state_dict()
        for name, tensor in ours.items():
            given = weights.get(name)
            if given is None:
                problems.append(f"{name} is missing")
            elif given.shape != tensor.shape:
                shapes = f"{tuple(given.shape)} where {tuple(tensor.shape)} is needed"
                problems.append(f"{name} has the shape {shapes}")
            elif flaw := flaw_of(given):
                problems.append(f"{name} {flaw}")
        with torch.device("meta"):  # with its head and all blocks
            whole = timm.create_model(self.config.model).state_dict()
        known = (*HEADS, "mask_token", "rope.")
        problems += [
            f"{name} has no place in it; without it, the network would compute something else"
            for name in weights.keys() - ours.keys() - whole.keys()
            if not name.startswith(known)
        ]
        return sorted(problems)

    def _lost(self, given: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
        """A remark on what timm leaves out of ``given`` for ``weights`` though it counts.

        These are biases of q and v, which some models of DINOv3 have and others not, and rotary
        positions of other periods.
        """
        problems = []
        for name, tensor in given.items():
            here = {name, name.replace("qkv.bias", "q_bias")} & weights.keys()
            if name.endswith("attn.qkv.bias") and not here:
                query_and_value = tensor.reshape(-1).tensor_split(3)[::2]
                if any(part.any() for part in query_and_value):
                    problems.append(f"{name} has no place in it; timm's models with qkvb have one")
            if name.endswith("periods") and self._periods is not None:
                own = self._periods.float()
                if tensor.shape != own.shape or not torch.allclose(tensor.float(), own, rtol=1e-2):
                    problems.append(f"{name} gives other rotary positions than it has")
        return problems

    def _refuse_other_model(self, path: str | Path) -> None:
        """Refuse a folder of timm that says it holds another model, or one of other pixels."""
        found, name = model_config(path), self.config.model
        theirs, pixels = found.get("architecture"), found.get("pretrained_cfg") or {}
        if theirs is None:
            return
        full = f"{theirs}.{pixels['tag']}" if pixels.get("tag") else theirs
        if theirs != name.partition(".")[0]:
            raise FormatError(
                f"{path} holds timm's {full}: set detector.backbone.model to it (not {name})"
            )
        own = timm.get_pretrained_cfg(name).to_dict()
        for key in ("mean", "std"):
            if list(pixels.get(key, own[key])) != list(own[key]):
                raise FormatError(
                    f"{path} holds timm's {full}, whose pixels have the {key} {pixels[key]}, but "
                    f"those of detector.backbone.model ({name}) {list(own[key])}: set it to the "
                    "name with the right ones, tag included"
                )


def make_timm(config: TimmConfig, crop: int) -> Any:
    """timm's own model for frames of ``crop`` pixels, with random weights and no classifier."""
    model = timm.create_model(
        config.model,
        img_size=crop,
        dynamic_img_size=False,
        num_classes=0,
        drop_path_rate=config.drop_path,  # of a block by its index in the full depth
    )
    for block in model.blocks:
        if isinstance(block.attn, eva.EvaAttention):
            # The bias is added to what the layer gives, which therefore may be a LoRA.
            block.attn.qkv_bias_separate = True
    return model


def _scaled(branch: Tensor, scale: Tensor | None) -> Tensor:
    return branch if scale is None else scale * branch


def _as_timm(
    weights: Mapping[str, Tensor], config: TimmConfig, crop: int, source: str
) -> dict[str, Tensor]:
    """Tensors by timm's names, with the positions of ``crop``.

    timm translates the layouts of the authors (OpenAI's CLIP, DINOv2, DINOv3 and so on).
    """
    patch = config.geometry.patch
    if PROJECTION in weights and weights[PROJECTION].shape[-1:] != (patch,):  # timm resamples it
        raise FormatError(
            f"{source} does not fit timm's {config.model}, whose patches have {patch} pixels a "
            f"side: {PROJECTION} has the shape {tuple(weights[PROJECTION].shape)}"
        )
    with torch.device("meta"):
        model = make_timm(config, crop)
    try:
        if isinstance(model, eva.Eva):
            named = eva.checkpoint_filter_fn(dict(weights), model, antialias=False)
        else:
            named = vision_transformer.checkpoint_filter_fn(
                dict(weights), model, adapt_layer_scale=True, antialias=False
            )
    except Exception as error:  # of nearly every kind, for tensors that timm does not expect
        raise FormatError(f"{source} does not fit timm's {config.model}: {error}") from error
    return dict(named)


def _download(name: str) -> dict[str, Tensor]:
    """The weights that timm has for a model, from its cache or the network."""
    where = timm.get_pretrained_cfg(name)
    if not where.has_weights:
        raise FormatError(
            f"timm has no pre-trained weights of {name}: give the path of a file as "
            "detector.backbone.weights, or choose a model that has some"
        )
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # of the network, the disk, or the hub's library
        url = f"https://huggingface.co/{where.hf_hub_id}" if where.hf_hub_id else where.url
        raise FormatError(
            f"timm could not get its weights of {name} ({str(error).partition(chr(10))[0]}). "
            f"Without a network, download model.safetensors from {url} elsewhere and give its "
            "path: detector.backbone.weights: <path>"
        ) from error
