"""State dicts named as public programs name them, written down here independently.

``encoder`` is a real ``transformers`` model; the other layouts hold its parameters under the
names that the sources of MCG-NJU/VideoMAE, mmaction2 and OpenTAD give them.
"""

import torch
from torch import Tensor
from transformers import VideoMAEConfig, VideoMAEModel

WIDTH, DEPTH, HEADS, PATCH, SIZE, FRAMES = 24, 3, 3, 8, 16, 8
NECK, LEVELS, CLASSES, TOWER = 16, 3, 5, 2


def encoder_config(size: int = SIZE) -> VideoMAEConfig:
    return VideoMAEConfig(
        image_size=size,
        patch_size=PATCH,
        num_frames=FRAMES,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        decoder_num_hidden_layers=1,
        decoder_hidden_size=12,
        decoder_num_attention_heads=3,
        decoder_intermediate_size=24,
        layer_norm_eps=1e-6,
    )


@torch.no_grad()
def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(4)
    for value in model.parameters():
        value.copy_(0.2 * torch.randn(value.shape, generator=generator))


def encoder(size: int = SIZE) -> VideoMAEModel:
    model = VideoMAEModel(encoder_config(size)).eval()
    randomise(model)
    return model


def encode(model: VideoMAEModel, frames: Tensor) -> Tensor:
    """Normalised pixels as the public programs make them, then the tokens of the last layer."""
    mean = torch.tensor((123.675, 116.28, 103.53))
    std = torch.tensor((58.395, 57.12, 57.375))
    pixels = (frames.float() - mean) / std
    with torch.no_grad():
        return model(pixel_values=pixels.permute(0, 1, 4, 2, 3)).last_hidden_state


def release(model: VideoMAEModel, prefix: str) -> dict[str, Tensor]:
    """MCG-NJU: ``encoder.`` (pre-trained) or nothing (fine-tuned) before the names."""
    weights = _patch(model, f"{prefix}patch_embed.proj")
    for i, layer in enumerate(model.encoder.layer):
        weights |= _attention_half(layer, f"{prefix}blocks.{i}.")
        weights |= _linear(layer.intermediate.dense, f"{prefix}blocks.{i}.mlp.fc1")
        weights |= _linear(layer.output.dense, f"{prefix}blocks.{i}.mlp.fc2")
    return weights


def mmaction(model: VideoMAEModel, prefix: str) -> dict[str, Tensor]:
    weights = {f"{prefix}pos_embed": fixed_positions(8 // 2 * (SIZE // PATCH) ** 2)}
    weights |= _patch(model, f"{prefix}patch_embed.projection")
    for i, layer in enumerate(model.encoder.layer):
        weights |= _attention_half(layer, f"{prefix}blocks.{i}.")
        weights |= _linear(layer.intermediate.dense, f"{prefix}blocks.{i}.mlp.layers.0.0")
        weights |= _linear(layer.output.dense, f"{prefix}blocks.{i}.mlp.layers.1")
    weights[f"{prefix}fc_norm.weight"] = torch.ones(WIDTH)
    weights[f"{prefix}fc_norm.bias"] = torch.zeros(WIDTH)
    return weights


def opentad(model: VideoMAEModel, stem: int = 1) -> dict[str, Tensor]:
    """The whole detector, without LoRA."""
    return mmaction(model, "backbone.model.backbone.") | action_former(stem)


def fixed_positions(n: int) -> Tensor:
    table = torch.zeros(1, n, WIDTH)
    for position in range(n):
        for channel in range(WIDTH):
            angle = torch.tensor(position / 10000 ** (2 * (channel // 2) / WIDTH))
            table[0, position, channel] = angle.cos() if channel % 2 else angle.sin()
    return table


def action_former(stem: int) -> dict[str, Tensor]:
    """Projection, neck and head with random values."""
    shapes: dict[str, tuple[int, ...]] = {}

    def affine(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]

    def convolution_and_norm(name: str, *shape: int) -> None:
        shapes[f"{name}.conv.weight"] = shape
        affine(f"{name}.norm", shape[0])

    convolution_and_norm("projection.embed.0", NECK, WIDTH, 3)
    convolution_and_norm("projection.embed.1", NECK, NECK, 3)
    blocks = [f"stem.{i}" for i in range(stem)] + [f"branch.{i}" for i in range(LEVELS - 1)]
    for block in blocks:
        name = f"projection.{block}"
        affine(f"{name}.ln1", NECK)
        affine(f"{name}.ln2", NECK)
        for part in ("query", "key", "value"):
            shapes[f"{name}.attn.{part}_conv.conv.weight"] = (NECK, 1, 3)
            affine(f"{name}.attn.{part}_norm", NECK)
            affine(f"{name}.attn.{part}", NECK, NECK, 1)
        affine(f"{name}.attn.proj", NECK, NECK, 1)
        affine(f"{name}.mlp.0", 4 * NECK, NECK, 1)
        affine(f"{name}.mlp.3", NECK, 4 * NECK, 1)
        shapes[f"{name}.drop_path_attn.scale"] = (1, NECK, 1)
        shapes[f"{name}.drop_path_mlp.scale"] = (1, NECK, 1)
    for level in range(LEVELS):
        affine(f"neck.fpn_norms.{level}", NECK)
        shapes[f"rpn_head.scale.{level}.scale"] = ()
    for tower in ("cls_convs", "reg_convs"):
        for i in range(TOWER):
            convolution_and_norm(f"rpn_head.{tower}.{i}", NECK, NECK, 3)
    affine("rpn_head.cls_head", CLASSES, NECK, 3)
    affine("rpn_head.reg_head", 2, NECK, 3)
    generator = torch.Generator().manual_seed(5)
    weights = {n: 0.2 * torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    return weights | {"rpn_head.loss_normalizer": torch.tensor(100)}


def _patch(model: VideoMAEModel, name: str) -> dict[str, Tensor]:
    return _linear(model.embeddings.patch_embeddings.projection, name)


def _linear(module: torch.nn.Module, name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": module.weight.detach(), f"{name}.bias": module.bias.detach()}


def _attention_half(layer: torch.nn.Module, name: str) -> dict[str, Tensor]:
    """Norms and attention, which all the other layouts name alike."""
    attention = layer.attention.attention
    parts = (attention.query, attention.key, attention.value)
    return {
        **_linear(layer.layernorm_before, f"{name}norm1"),
        f"{name}attn.q_bias": attention.query.bias.detach(),
        f"{name}attn.v_bias": attention.value.bias.detach(),
        f"{name}attn.qkv.weight": torch.cat([part.weight.detach() for part in parts]),
        **_linear(layer.attention.output.dense, f"{name}attn.proj"),
        **_linear(layer.layernorm_after, f"{name}norm2"),
    }
