"""The backbone of timm's models against timm itself, on random weights and without a network.

Models are those of their names but three blocks deep and 96 wide, to be quick.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from tad_blockdrop.compression.lora import add_lora, merge_lora
from tad_blockdrop.config import (
    DetectorConfig,
    LoraSettings,
    PostprocessConfig,
    TimmConfig,
    TrainConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.config.timm_models import timm_model
from tad_blockdrop.detector.backbones.contract import block_drop_rate
from tad_blockdrop.detector.backbones.timm_vit import TimmViT
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.metrics.cost import macs
from tad_blockdrop.training.groups import freeze_for

DEPTH, WIDTH = 3, 96
SIZE = {"depth": DEPTH, "embed_dim": WIDTH, "num_heads": 3}
SMALL = "vit_tiny_patch16_224"
# By what is different in them.
MODELS = {
    SMALL: "a class token",
    "vit_small_patch14_dinov2": "LayerScale",
    "vit_small_patch14_reg4_dinov2": "registers, of which none has a position",
    "vit_base_patch16_clip_224": "a norm before the blocks, no bias of the patches",
    "vit_base_patch16_siglip_224": "no prefix tokens; pooled by attention, which is left out",
    "deit3_small_patch16_224": "no position of the class token",
    "vit_small_patch16_rope_224": "rotary positions only",
    "vit_tiny_patch16_dinov3_qkvb": "rotary positions, registers, a bias apart from its layer",
    "vit_small_patch16_dinov3": "no such bias",
    "eva02_tiny_patch14_224": "rotary positions and learned ones, gated MLP, norm after the mean",
    "eva02_base_patch14_224": "norms inside attention and MLP",
}
EVA = [name for name in MODELS if "rope" in name or "dinov3" in name or "eva" in name]


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """timm makes small models, and never downloads."""
    make = timm.create_model

    def create(name: str, pretrained: bool = False, **settings: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to the hub\nwith details")
        is_vit = not name.startswith(("swin", "resnet", "mixer"))
        model: nn.Module = make(name, **settings, **(SIZE if is_vit else {}))
        return model

    monkeypatch.setattr(timm, "create_model", create)
    timm_model.cache_clear()
    yield
    timm_model.cache_clear()


@pytest.fixture
def pair(loud: Callable[[nn.Module], None]) -> Callable[..., tuple[TimmViT, Any]]:
    """Our backbone and timm's model, of the same loud weights, for frames of three patches."""

    def make(name: str, kept: range | tuple[int, ...] = range(DEPTH), **settings: Any) -> Any:
        config = TimmConfig(model=name, **settings)
        crop = 3 * config.geometry.patch
        theirs = timm.create_model(name, img_size=crop).eval()
        loud(theirs)
        ours = TimmViT(config, crop, kept).eval()
        weights = theirs.state_dict()
        ours.load_state_dict({key: weights[key] for key in ours.state_dict()})
        return ours, theirs

    return make


def some_frames(crop: int, n: int = 4) -> Tensor:
    """Two windows of n / 2 frames."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, n // 2, crop, crop, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def features_of(model: Detector, frames: Tensor) -> Tensor:
    """What the detector's backbone says of its windows."""
    return model(frames, torch.ones(len(frames), model.grid, dtype=torch.bool)).features


def features(backbone: TimmViT, frames: Tensor) -> Tensor:
    """(B, feature_width, T)."""
    tokens = backbone.embed(frames)
    for name in backbone.blocks:
        _, tokens = backbone.run_block(int(name), tokens)
    return backbone.pool(tokens, len(frames), frames.shape[1])


def theirs_of(model: Any, frames: Tensor, pool: str = "mean") -> Tensor:
    """The same by timm, with the normalisation of its own pre-processing."""
    mean, std = (torch.tensor(model.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    images = frames.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    tokens = model.forward_features((images - mean) / std)
    patches = tokens[:, model.num_prefix_tokens :].mean(1)
    parts = {"mean": [patches], "class": [tokens[:, 0]], "both": [tokens[:, 0], patches]}[pool]
    pooled = torch.cat([model.fc_norm(part) for part in parts], dim=1)
    return pooled.view(*frames.shape[:2], -1).transpose(1, 2)


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_features_are_those_of_timm(pair, name: str) -> None:
    ours, theirs = pair(name)
    frames = some_frames(ours.crop)
    assert_same(features(ours, frames), theirs_of(theirs, frames))
    width = theirs.embed_dim
    assert ours.embed(frames).shape == (4, 9 + theirs.num_prefix_tokens, width)
    assert ours.tokens_per_clip == 9 + theirs.num_prefix_tokens


@pytest.mark.parametrize("pool", ["class", "both"])
@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "eva02_tiny_patch14_224"])
@torch.no_grad()
def test_class_token_and_mean(pair, name: str, pool: str) -> None:
    ours, theirs = pair(name, pool=pool)
    frames = some_frames(ours.crop)
    found = features(ours, frames)
    assert found.shape[1] == ours.geometry.feature_width
    assert_same(found, theirs_of(theirs, frames, pool))


class Skipped(nn.Module):
    """In the place of a dropped block."""

    def forward(self, x: Tensor, **_: Any) -> Tensor:
        """What comes in."""
        return x


@pytest.mark.parametrize("name", [SMALL, "vit_tiny_patch16_dinov3_qkvb"])
@torch.no_grad()
def test_a_dropped_block_is_the_identity(pair, name: str) -> None:
    ours, theirs = pair(name, kept=(0, 2))
    frames = some_frames(ours.crop)
    whole = theirs_of(theirs, frames)
    theirs.blocks[1] = Skipped()
    assert_same(features(ours, frames), theirs_of(theirs, frames))
    assert not torch.allclose(whole, theirs_of(theirs, frames), atol=1e-2)
    assert list(ours.blocks) == ["0", "2"]
    assert not any(key.startswith("blocks.1.") for key in ours.state_dict())


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch16_dinov3"])
@torch.no_grad()
def test_the_middle_of_a_block_is_its_output_without_the_mlp(pair, name: str) -> None:
    ours, _ = pair(name)
    tokens = ours.embed(some_frames(ours.crop))
    mid, out = ours.run_block(1, tokens)
    ours.blocks["1"].mlp.fc2.weight.zero_()
    ours.blocks["1"].mlp.fc2.bias.zero_()
    same_mid, without = ours.run_block(1, tokens)
    assert_same(mid, without)
    torch.testing.assert_close(mid, same_mid)
    assert not torch.allclose(mid, out, atol=1e-2)


@pytest.mark.parametrize("name", [SMALL, "vit_tiny_patch16_dinov3_qkvb"])
def test_drop_path_goes_by_the_original_index(name: str) -> None:
    config = TimmConfig(model=name, drop_path=0.4)
    backbone = TimmViT(config, 32, (1, 2))
    rates = {index: block.drop_path1.drop_prob for index, block in backbone.blocks.items()}
    assert rates == pytest.approx({str(i): block_drop_rate(config, i) for i in (1, 2)})


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch16_dinov3"])
def test_training_sees_the_same_positions(pair, name: str) -> None:
    """Nothing is drawn at random but drop path, also where timm would jitter rotary positions."""
    ours, _ = pair(name)
    frames = some_frames(ours.crop)
    calm = features(ours, frames)
    torch.testing.assert_close(features(ours.train(), frames), calm)


# --- weights


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, Tensor]], Path]:
    def write(weights: dict[str, Tensor]) -> Path:
        path = tmp_path / "weights.safetensors"
        save_file({key: value.contiguous() for key, value in weights.items()}, path)
        return path

    return write


def native(name: str, loud: Callable[[nn.Module], None]) -> dict[str, Tensor]:
    """Weights of timm's model for its own size of images, with a classifier."""
    model = timm.create_model(name)
    loud(model)
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def fresh(name: str, kept: tuple[int, ...] = (0, 1, 2), patches: int = 3) -> TimmViT:
    config = TimmConfig(model=name)
    return TimmViT(config, patches * config.geometry.patch, kept).eval()


@pytest.mark.parametrize("prefix", ["", "backbone.", "visual.trunk."])
@pytest.mark.parametrize("name", [SMALL, "vit_small_patch14_reg4_dinov2", "eva02_tiny_patch14_224"])
@torch.no_grad()
def test_a_file_of_timm_loads_with_its_positions_resampled(
    written, loud, name: str, prefix: str
) -> None:
    weights = native(name, loud)
    backbone = fresh(name)
    file = {prefix + key: value for key, value in weights.items()} | {"fc.weight": torch.ones(2)}
    said = backbone.load_weights(written(file))
    assert f"{len(backbone.state_dict())} tensors taken" in said
    theirs = timm.create_model(name, img_size=backbone.crop).eval()
    of_prefix = weights["pos_embed"].shape[1] % 2 if name != "vit_small_patch14_reg4_dinov2" else 0
    weights["pos_embed"] = resample_abs_pos_embed(
        weights["pos_embed"], [3, 3], num_prefix_tokens=of_prefix, antialias=False
    )
    theirs.load_state_dict(weights)
    frames = some_frames(backbone.crop)
    assert_same(features(backbone, frames), theirs_of(theirs, frames))


def test_positions_of_a_shorter_grid_are_not_smoothed(written, loud) -> None:
    weights = native(SMALL, loud)
    backbone = fresh(SMALL)
    backbone.load_weights(written(weights))
    smoothed = resample_abs_pos_embed(weights["pos_embed"], [3, 3], antialias=True)
    assert not torch.allclose(backbone.pos_embed, smoothed, atol=1e-2)


def test_the_layout_of_dinov2s_authors_loads(written, loud) -> None:
    name = "vit_small_patch14_reg4_dinov2"
    weights = native(name, loud)
    positions, corner = weights["pos_embed"], torch.full((1, 1, WIDTH), 0.5)
    theirs = {key: value for key, value in weights.items() if not key.startswith("head")}
    theirs["register_tokens"] = theirs.pop("reg_token")
    theirs["cls_token"] = weights["cls_token"] - corner
    theirs["pos_embed"] = torch.cat([corner, positions], dim=1)
    theirs["mask_token"] = torch.zeros(1, WIDTH)
    backbone, expected = fresh(name), fresh(name)
    backbone.load_weights(written(theirs))
    expected.load_weights(written(weights))
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(backbone.state_dict()[key], value)


@pytest.mark.parametrize("name", ["small_patch14", "small_patch14_reg4", "giant_patch14"])
@torch.no_grad()
def test_dinov2_of_transformers_computes_the_same(loud, tmp_path: Path, name: str) -> None:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 3}
    sizes |= {"image_size": 42, "patch_size": 14, "use_swiglu_ffn": "giant" in name}
    registers = "reg4" in name
    kinds = (Dinov2WithRegistersModel, Dinov2WithRegistersConfig)
    model, config = kinds if registers else (Dinov2Model, Dinov2Config)
    theirs = model(config(**sizes)).eval()
    loud(theirs)
    theirs.save_pretrained(tmp_path)
    ours = fresh(f"vit_{name}_dinov2")
    ours.load_weights(tmp_path)
    frames = some_frames(ours.crop)
    pixels = (frames.flatten(0, 1) - ours.pixel_shift) / ours.pixel_scale
    tokens = theirs(pixel_values=pixels.permute(0, 3, 1, 2)).last_hidden_state
    pooled = tokens[:, 5 if registers else 1 :].mean(1).view(*frames.shape[:2], -1)
    assert_same(features(ours, frames), pooled.transpose(1, 2))


def test_dinov2_of_transformers_has_no_unknown_parts(written, tmp_path: Path) -> None:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 3}
    public = Dinov2Model(Dinov2Config(**sizes, image_size=42, patch_size=14)).state_dict()
    ours = fresh("vit_small_patch14_dinov2")
    ours.load_weights(written(public))
    foreign = {"encoder.layer.1.attention.q_norm.weight": torch.ones(32)}
    with pytest.raises(FormatError, match=r"blocks\.1\.attention\.q_norm\.weight has no place"):
        ours.load_weights(written(public | foreign))


def test_blocks_that_were_dropped_are_left_out(written, loud) -> None:
    weights = native(SMALL, loud)
    backbone = fresh(SMALL, (0, 2))
    left_out = len(weights) - len(backbone.state_dict())
    assert f"{left_out} left out" in backbone.load_weights(written(weights))
    expected = weights["blocks.2.mlp.fc1.weight"]
    assert torch.equal(backbone.blocks["2"].mlp.fc1.weight, expected)


def test_own_weights_load_by_name(written, pair) -> None:
    ours, _ = pair(SMALL)
    weights = {f"backbone.{key}": value for key, value in ours.state_dict().items()}
    backbone = fresh(SMALL)
    backbone.load_weights(written(weights | {"head.classify.weight": torch.ones(3)}))
    frames = some_frames(backbone.crop)
    assert torch.equal(features(backbone, frames), features(ours, frames))


def test_a_checkpoint_of_ours_says_which_model_its_weights_are_of(tmp_path: Path) -> None:
    """Of many models the shapes agree; how tokens are pooled is no matter of their weights."""
    backbone = TimmConfig(model=SMALL)
    window = WindowConfig(frames=64, grid=64, crop=48, short_side=48)
    model = Detector(DetectorConfig(backbone=backbone), 2, window)
    checkpoint = Checkpoint(
        weights_of(model), model.config, model.kept_blocks, ("a", "b"), window, 4, None,
        PostprocessConfig(),
    )  # fmt: skip
    write_checkpoint(checkpoint, tmp_path / "c")
    pooled = backbone.model_copy(update={"pool": "class"})
    TimmViT(pooled, 48, range(DEPTH)).load_weights(tmp_path / "c")
    with pytest.raises(FormatError, match=f'backbone.model: "{SMALL}" .not "deit_tiny_patch16_224'):
        fresh("deit_tiny_patch16_224").load_weights(tmp_path / "c")
    with pytest.raises(FormatError, match=r'for it, set [a-z.]*kind: "timm" \(not "videomae"\)$'):
        VideoMAE(VideoMAEConfig(), 48, (0,)).load_weights(tmp_path / "c")


@pytest.mark.parametrize("shape", [(), (1,), (1, 2, 2, 2)])
def test_tensors_of_any_shape_are_told(written, shape: tuple[int, ...]) -> None:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 3}
    public = Dinov2Model(Dinov2Config(**sizes, image_size=42, patch_size=14)).state_dict()
    query = next(name for name in public if name.endswith("q_proj.weight"))
    with pytest.raises(FormatError, match=r"safetensors: shapes that do not go together"):
        fresh("vit_small_patch14_dinov2").load_weights(
            written({**public, query: torch.ones(shape)})
        )
    plain = fresh(SMALL).state_dict()
    for name in ("patch_embed.proj.weight", "pos_embed", "blocks.0.attn.qkv.bias"):
        with pytest.raises(FormatError, match=f"does not fit timm's {SMALL}"):
            fresh(SMALL).load_weights(written({**plain, name: torch.ones(shape)}))
    without = fresh("vit_small_patch16_dinov3").state_dict()
    biased = {**without, "blocks.0.attn.qkv.bias": torch.ones(shape)}
    with pytest.raises(FormatError, match=r"qkv\.bias has no place"):
        fresh("vit_small_patch16_dinov3").load_weights(written(biased))


def test_the_teacher_beside_a_student_is_taken_and_told(written, loud) -> None:
    weights = native(SMALL, loud)
    backbone = fresh(SMALL)
    student = {f"student.module.{key}": value + 1 for key, value in weights.items()}
    teacher = {f"teacher.module.{key}": value for key, value in weights.items()}
    said = backbone.load_weights(written(student | teacher))
    assert "the averaged weights 'teacher.module.' are taken, not 'student.module.'" in said
    assert torch.equal(backbone.norm.weight, weights["norm.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.1.attn.qkv.bias": None}, r"blocks\.1\.attn\.qkv\.bias is missing$"),
        ({"norm.weight": None, "norm.bias": None}, r"norm\.bias is missing \(2 tensors do not fit"),
        ({"blocks.1.ls1.gamma": torch.ones(WIDTH)}, r"blocks\.1\.ls1\.gamma has no place in it"),
        ({"blocks.3.norm1.bias": torch.ones(WIDTH)}, r"blocks\.3\.norm1\.bias has no place in it"),
        ({"norm_pre.bias": torch.ones(WIDTH)}, r"norm_pre\.bias has no place in it"),
        (
            {"blocks.1.attn.q_norm.weight": torch.ones(32)},
            r"attn\.q_norm\.weight has no place in it",
        ),
        ({"temporal_embed": torch.ones(1, 8, WIDTH)}, "temporal_embed has no place in it"),
        ({"reg_token": torch.ones(1, 4, WIDTH)}, "reg_token has no place in it"),
        ({"norm.bias": torch.ones(100)}, r"norm\.bias has the shape \(100,\) where \(96,\) is"),
        ({"norm.bias": torch.full((WIDTH,), torch.nan)}, r"norm\.bias has values that are not fin"),
        ({"pos_embed": torch.ones(1, 12, WIDTH)}, "does not fit timm's vit_tiny_patch16_224"),
        ({"patch_embed.proj.weight": torch.ones(WIDTH, 3, 14, 14)}, "16 pixels a side"),
    ],
)
def test_weights_that_do_not_fit_are_refused(written, loud, change, message: str) -> None:
    weights = native(SMALL, loud) | change
    path = written({key: value for key, value in weights.items() if value is not None})
    with pytest.raises(FormatError, match=message) as caught:
        fresh(SMALL).load_weights(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.to(torch.int8),
        lambda t: t.to(torch.complex64),
        lambda t: t.to(torch.float8_e4m3fn),
        lambda t: t.to("meta"),
    ],
)
def test_what_is_no_plain_number_is_refused(tmp_path: Path, loud, change) -> None:
    torch.save(native(SMALL, loud) | {"norm.bias": change(torch.ones(WIDTH))}, tmp_path / "w.pt")
    with pytest.raises(FormatError, match=r"norm\.bias is stored as .* floating-point"):
        fresh(SMALL).load_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.1.attn.qkv.bias": torch.ones(3 * WIDTH)}, r"blocks\.1\.attn\.qkv\.bias has no"),
        ({"rope_embed.periods": torch.full((8,), 7.0)}, "periods gives other rotary positions"),
        ({"blocks.1.attn.qkv.bias": torch.zeros(3 * WIDTH)}, ""),
        ({"blocks.1.attn.qkv.bias": torch.eye(3)[1].repeat_interleave(WIDTH)}, ""),  # of keys
    ],
)
def test_what_timm_leaves_out_of_dinov3_is_refused_if_it_counts(
    written, loud, change, message: str
) -> None:
    name = "vit_small_patch16_dinov3"
    weights = {
        key.replace("gamma_", "ls").replace("ls1", "ls1.gamma").replace("ls2", "ls2.gamma")
        .replace("reg_token", "storage_tokens"): value
        for key, value in native(name, loud).items()
    }  # fmt: skip
    path = written(weights | change)
    if message:
        with pytest.raises(FormatError, match=message):
            fresh(name).load_weights(path)
    else:
        fresh(name).load_weights(path)


def test_the_models_own_name_and_pixels_are_compared(written, loud, tmp_path: Path) -> None:
    """No tensor shows them."""
    written(native(SMALL, loud)).rename(tmp_path / "model.safetensors")
    pixels = {"mean": [0.485, 0.456, 0.406], "std": [0.5, 0.5, 0.5], "tag": "dino"}
    for said, message in (
        ({"architecture": "deit_tiny_patch16_224"}, "holds timm's deit_tiny_patch16_224: set"),
        ({"architecture": SMALL, "pretrained_cfg": pixels}, r"224\.dino, whose pixels .* mean"),
        ({"architecture": SMALL}, ""),
        ({"model_type": "other"}, ""),
    ):
        (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
        if message:
            with pytest.raises(FormatError, match=message):
                fresh(SMALL).load_weights(tmp_path)
        else:
            fresh(SMALL).load_weights(tmp_path)


def test_clips_own_files_are_told_to_be_of_another_activation(written, loud) -> None:
    name = "vit_base_patch16_clip_224"
    renamed = (
        ("blocks", "transformer.resblocks"), ("attn.qkv.", "attn.in_proj_"), ("norm_", "ln_"),
        ("attn.proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
        ("norm1", "ln_1"), ("norm2", "ln_2"), ("norm.", "ln_post."), ("patch_embed.proj", "conv1"),
    )  # fmt: skip
    theirs = {}
    for key, value in native(name, loud).items():
        named = key
        for ours, other in renamed:
            named = named.replace(ours, other)
        theirs[f"visual.{named}"] = value
    theirs["visual.class_embedding"] = theirs.pop("visual.cls_token")[0, 0]
    theirs["visual.positional_embedding"] = theirs.pop("visual.pos_embed")[0]
    theirs = {key: value for key, value in theirs.items() if "head" not in key}
    assert "computes with QuickGELU" in fresh(name).load_weights(written(theirs))


def test_another_networks_file_is_refused(written) -> None:
    with pytest.raises(FormatError, match=r"blocks\.0\.attn\.proj\.bias is missing"):
        fresh(SMALL).load_weights(written({"layer.weight": torch.ones(3)}))


def test_without_a_network_the_message_says_what_to_download() -> None:
    with pytest.raises(FormatError) as caught:
        fresh("vit_small_patch14_dinov2").load_weights("pretrained")
    message = str(caught.value)
    assert "(no route to the hub)" in message
    assert "https://huggingface.co/timm/vit_small_patch14_dinov2.lvd142m" in message
    assert "detector.backbone.weights: <path>" in message


def test_a_model_without_weights_in_timm_says_so() -> None:
    with pytest.raises(FormatError, match="has no pre-trained weights of test_vit4"):
        fresh("test_vit4").load_weights("pretrained")


def test_pretrained_weights_are_those_of_timm(monkeypatch, loud) -> None:
    weights = native(SMALL, loud)
    make = timm.create_model

    def create(name: str, pretrained: bool = False, **settings: Any) -> nn.Module:
        model: nn.Module = make(name, **settings)
        if pretrained:
            model.load_state_dict(weights)
        return model

    monkeypatch.setattr(timm, "create_model", create)
    backbone = fresh(SMALL, patches=14)
    assert "timm's weights of vit_tiny_patch16_224" in backbone.load_weights("pretrained")
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, weights[key])


# --- configuration


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_small_dinov2", "did you mean: .*vit_small_patch14_dinov2"),
        ("vit_tiny_patch16_224.of_mine", "did you mean: .*vit_tiny_patch16_224[,.?]"),
        ("hf-hub:someone/model", "has no model"),
        ("swin_tiny_patch4_window7_224", r"its width changes on the way \(96 to 768 channels\)"),
        ("resnet18", r"its width changes on the way \(64 to 512 channels\)"),
        ("mixer_s16_224", "it is a MlpMixer, neither a plain"),
        ("deit_tiny_distilled_patch16_224", "it is a VisionTransformerDistilled"),
        ("vit_tiny_r_s16_p8_224", "a convolutional network makes its tokens"),
        ("vit_base_patch16_xp_224", "its blocks .ParallelScalingBlock. are not"),
        ("vit_small_patch16_rope_mixed_224", "its rotary positions are learned for each block"),
    ],
)
def test_models_that_do_not_fit_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DetectorConfig.model_validate({"backbone": {"kind": "timm", "model": name}})


@pytest.mark.parametrize("pool", ["class", "both"])
def test_a_class_token_that_is_not_there_is_refused(pool: str) -> None:
    with pytest.raises(ValidationError, match="has no class token: pool must be mean"):
        TimmConfig(model="vit_base_patch16_siglip_224", pool=pool)


def test_a_crop_that_cuts_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a multiple of the backbone's patch"):
        TimmViT(TimmConfig(model="vit_small_patch14_dinov2"), 100, (0,))


def test_keys_of_other_kinds_are_left_out() -> None:
    settings = {"kind": "timm", "model": SMALL, "width": 24, "clip_frames": 8}
    config = DetectorConfig.model_validate({"backbone": settings}).backbone
    assert config == TimmConfig(model=SMALL)
    assert config.geometry.depth == DEPTH


# --- as a part of the detector


def detector(name: str, kept: tuple[int, ...] = (0, 2), pool: str = "mean") -> Detector:
    config = DetectorConfig.model_validate(
        {
            "backbone": {"kind": "timm", "model": name, "pool": pool},
            "pyramid": {"width": 16, "heads": 2, "levels": 2, "stem_blocks": 1},
            "head": {"ranges": [[0, 4], [4, 10000]]},
        }
    )
    crop = 2 * config.backbone.geometry.patch
    window = WindowConfig(frames=16, grid=8, crop=crop, short_side=crop)
    torch.manual_seed(0)
    return Detector(config, 3, window, kept).eval()


TARGETS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


@pytest.mark.parametrize("name", [SMALL, *EVA])
def test_lora_of_every_target_acts_and_merges(loud, name: str) -> None:
    model = detector(name)
    loud(model)
    frames = some_frames(model.window.crop, 32)
    with torch.no_grad():
        before = features_of(model, frames)
    plain = weights_of(model)
    add_lora(model, LoraSettings(targets=TARGETS, rank=2), seed=0)
    with torch.no_grad():
        torch.testing.assert_close(features_of(model, frames), before)
    features_of(model, frames).square().mean().backward()
    pairs = {n: p for n, p in model.named_parameters() if ".lora_B." in n}
    products = [
        layer_name
        for block in ("0", "2")
        for layer_name, layer in detector(name).backbone.blocks[block].named_modules()
        if isinstance(layer, nn.Linear)
    ]
    assert len(pairs) == len(products)
    for layer, matrix in pairs.items():
        assert matrix.grad is not None, layer
        assert matrix.grad.abs().max() > 0, layer
        with torch.no_grad():
            matrix.normal_(std=0.1)
    with torch.no_grad():
        adapted = features_of(model, frames)
        assert not torch.allclose(adapted, before, atol=1e-3)
        merge_lora(model)
        torch.testing.assert_close(features_of(model, frames), adapted, rtol=1e-3, atol=1e-3)
    assert weights_of(model).keys() == plain.keys()


def test_beside_lora_the_norms_and_the_patch_embedding_train() -> None:
    model = detector("vit_small_patch14_dinov2")
    add_lora(model, LoraSettings(), seed=0)
    freeze_for(model, TrainConfig(tuning="lora"))
    trained = {
        n.removeprefix("backbone.")
        for n, p in model.named_parameters()
        if p.requires_grad and n.startswith("backbone.") and ".lora_" not in n
    }
    of_block = {f"norm{i}.{part}" for i in (1, 2) for part in ("weight", "bias")}
    assert trained == {
        *(f"blocks.{i}.{part}" for i in (0, 2) for part in of_block),
        "norm.weight", "norm.bias", "patch_embed.proj.weight", "patch_embed.proj.bias",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"])
def test_exports_give_the_same_numbers(loud, name: str) -> None:
    pytest.importorskip("onnx", reason="the extra 'export' is not installed")
    from tad_blockdrop.export.onnx import open_session, to_onnx
    from tad_blockdrop.export.torch_export import from_archive, to_archive, trace

    model = detector(name, pool="both")
    loud(model)
    frames = some_frames(model.window.crop, 32)
    mask = torch.arange(8) < torch.tensor([[8], [5]])
    with torch.inference_mode():
        expected = model(frames, mask)
    program = trace(model)
    logits, offsets = open_session(to_onnx(program), threads=1)(frames.numpy(), mask.numpy())
    assert logits == pytest.approx(expected.logits.numpy(), abs=1e-3, rel=1e-3)
    assert offsets == pytest.approx(expected.offsets.numpy(), abs=1e-3, rel=1e-3)
    logits, offsets = from_archive(to_archive(program))(frames[:1], mask[:1])
    torch.testing.assert_close(logits, expected.logits[:1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(offsets, expected.offsets[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [SMALL, "eva02_tiny_patch14_224"])
def test_cost_is_that_of_a_transformer(name: str) -> None:
    """Four products in attention and 8 d² in the MLP, plain or gated: 12 d² + 2 N d a token."""
    model = detector(name)
    frames, places, tokens = model.window.frames, 4, 4 + 1
    counted = macs(model.config, 3, model.window, model.kept_blocks)
    assert counted.block == frames * tokens * (12 * WIDTH**2 + 2 * tokens * WIDTH)
    assert counted.blocks == 2 * counted.block
    assert counted.embedding == frames * places * 3 * model.backbone.geometry.patch**2 * WIDTH
