"""Public VideoMAE encoders become ours: same outputs, right sizes, honest refusals."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from public_layouts import (
    DEPTH,
    WIDTH,
    encode,
    encoder,
    encoder_config,
    fixed_positions,
    mmaction,
    opentad,
    randomise,
    release,
)
from torch import Tensor
from transformers import (
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VideoMAEModel,
)

from tad_blockdrop.config import DetectorConfig, VideoMAEConfig, WindowConfig
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.detector.weights.convert import (
    ImportedBackbone,
    load_backbone,
    recognise,
    to_backbone,
)
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.reading import read_weights
from tad_blockdrop.detector.weights.report import SHOWN, Status


def tokens(imported: ImportedBackbone, frames: Tensor) -> Tensor:
    ours = VideoMAE(imported.config, frames.shape[2], imported.kept_blocks).eval()
    ours.load_state_dict(imported.weights)
    with torch.no_grad():
        found = ours.embed(frames)
        for index in imported.kept_blocks:
            found = ours.run_block(index, found)[1]
    return found


def version_4(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """As published models are named."""
    new = (".query.bias", ".value.bias")
    old = (".q_bias", ".v_bias")
    for a, b in zip(new, old, strict=True):
        weights = {k.replace(a, b): v for k, v in weights.items()}
    return weights


def with_key_bias(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """As some of version 5 save them: no output depends on it."""
    values = {name: value for name, value in weights.items() if name.endswith(".value.bias")}
    return weights | {
        name.replace(".value.", ".key."): torch.randn(value.shape) for name, value in values.items()
    }


def head(weights: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return weights | {name: torch.ones(3) for name in names}


LAYOUTS: dict[str, tuple[str, Callable[[VideoMAEModel], dict[str, Tensor]]]] = {
    "transformers": ("transformers", lambda m: m.state_dict()),
    "transformers 5.17": ("transformers", lambda m: with_key_bias(m.state_dict())),
    "transformers 4": ("transformers", lambda m: version_4(m.state_dict())),
    "MCG-NJU pre-trained": (
        "MCG-NJU",
        lambda m: head(
            release(m, "encoder."), "encoder.norm.weight", "mask_token", "decoder.blocks.0.x"
        ),
    ),
    "MCG-NJU fine-tuned": (
        "MCG-NJU",
        lambda m: head(release(m, ""), "fc_norm.weight", "head.weight"),
    ),
    "mmaction2": ("mmaction2", lambda m: head(mmaction(m, "backbone."), "cls_head.fc_cls.weight")),
    "mmaction2 backbone": ("mmaction2", lambda m: mmaction(m, "")),
    "OpenTAD": ("OpenTAD", opentad),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_outputs_equal_those_of_transformers(
    name: str, public: VideoMAEModel, clips: Tensor, expected: DetectorConfig
) -> None:
    title, write = LAYOUTS[name]
    weights = write(public)
    assert title in recognise(weights)[0].title
    imported = to_backbone(weights, expected.backbone)
    assert imported.config == expected.backbone
    assert imported.kept_blocks == tuple(range(DEPTH))
    truth = encode(public, clips)
    torch.testing.assert_close(tokens(imported, clips), truth, rtol=1e-4, atol=1e-5)
    assert truth.std() > 0.1
    fates = {entry.status for entry in imported.report.entries}
    assert fates <= {Status.MATCHED, Status.RESHAPED, Status.UNUSED}
    # the patch embedding and per block q/k/v, two norms, the projection and the MLP
    assert len(imported.report.of(Status.MATCHED, Status.RESHAPED)) == 2 + DEPTH * 12


@pytest.mark.parametrize("kind", [VideoMAEForPreTraining, VideoMAEForVideoClassification])
@pytest.mark.parametrize("file", ["folder", "model.safetensors", "pytorch_model.bin"])
def test_files_that_transformers_writes(
    kind: type[VideoMAEForPreTraining | VideoMAEForVideoClassification],
    file: str,
    tmp_path: Path,
    clips: Tensor,
    expected: DetectorConfig,
) -> None:
    whole = kind(encoder_config()).eval()
    randomise(whole)
    whole.save_pretrained(tmp_path)
    torch.save(whole.state_dict(), tmp_path / "pytorch_model.bin")
    weights = read_weights(tmp_path if file == "folder" else tmp_path / file)
    imported = to_backbone(weights, expected.backbone)
    truth = encode(whole.videomae, clips)
    torch.testing.assert_close(tokens(imported, clips), truth, rtol=1e-4, atol=1e-5)
    assert imported.report.of(Status.UNUSED)  # decoder or classifier
    assert not imported.report.of(Status.UNEXPECTED)


def test_positions_of_the_file_tell_the_pre_training_size(
    clips: Tensor, expected: DetectorConfig, public: VideoMAEModel
) -> None:
    weights = mmaction(public, "") | {"pos_embed": fixed_positions(4 * 5 * 5)}
    assert to_backbone(weights, expected.backbone).config.pretrain_size == 40
    larger = encoder(40)
    larger.load_state_dict(public.state_dict())
    imported = to_backbone(weights, expected.backbone)
    wide = clips.repeat(1, 1, 3, 3, 1)[:, :, :40, :40]
    torch.testing.assert_close(tokens(imported, wide), encode(larger, wide), rtol=1e-4, atol=1e-5)


def test_other_positions_are_refused(expected: DetectorConfig, public: VideoMAEModel) -> None:
    learned = fixed_positions(16) + 0.1 * torch.randn(1, 16, WIDTH)
    with pytest.raises(FormatError, match="not VideoMAE's fixed sine-cosine table but learned"):
        to_backbone(mmaction(public, "") | {"pos_embed": learned}, expected.backbone)
    with pytest.raises(FormatError, match=r"18 positions, not 4 time slices of a square.*clip_fr"):
        to_backbone(mmaction(public, "") | {"pos_embed": fixed_positions(18)}, expected.backbone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(
    dtype: torch.dtype, public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = {k: v.to(dtype) for k, v in mmaction(public, "").items()}
    imported = to_backbone(weights, expected.backbone)
    name = "patch_embed.projection.weight"
    assert imported.weights[name].dtype == torch.float32
    assert torch.equal(imported.weights[name], weights[name].float())


@pytest.mark.parametrize(
    ("width", "depth", "heads"), [(384, 12, 6), (768, 12, 12), (1024, 24, 16), (1280, 32, 16)]
)
def test_published_sizes_need_no_configuration(width: int, depth: int, heads: int) -> None:
    """VideoMAE-S, B, L and H as the release writes them; shapes only."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.patch_embed.proj.weight": (width, 3, 2, 16, 16),
        "encoder.patch_embed.proj.bias": (width,),
    }
    for i in range(depth):
        block = f"encoder.blocks.{i}."
        shapes |= {
            f"{block}norm1.weight": (width,),
            f"{block}norm1.bias": (width,),
            f"{block}attn.q_bias": (width,),
            f"{block}attn.v_bias": (width,),
            f"{block}attn.qkv.weight": (3 * width, width),
            f"{block}attn.proj.weight": (width, width),
            f"{block}attn.proj.bias": (width,),
            f"{block}norm2.weight": (width,),
            f"{block}norm2.bias": (width,),
            f"{block}mlp.fc1.weight": (4 * width, width),
            f"{block}mlp.fc1.bias": (4 * width,),
            f"{block}mlp.fc2.weight": (width, 4 * width),
            f"{block}mlp.fc2.bias": (width,),
        }
    weights = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    if width > 384:  # expanded tensors cost nothing, converted ones do: keep two blocks
        cut = {k: v for k, v in weights.items() if "blocks" not in k or ".blocks.1." in k}
        weights = cut | {k: weights[k] for k in weights if ".blocks.0." in k}
        depth = 2
    config = to_backbone(weights).config
    assert config == VideoMAEConfig(width=width, depth=depth, heads=heads)
    assert (config.patch, config.tubelet, config.mlp_ratio, config.pretrain_size) == (16, 2, 4, 224)


def test_a_width_nobody_published_needs_its_heads(public: VideoMAEModel) -> None:
    with pytest.raises(FormatError, match=r"width 24 is none of VideoMAE's.*backbone\.heads"):
        to_backbone(release(public, ""))


def test_an_incomplete_file_is_refused_and_says_what_is_missing(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = release(public, "encoder.")
    del weights["encoder.blocks.1.attn.q_bias"]
    with pytest.raises(FormatError, match=r"my\.pth.*encoder\.blocks\.1\.attn\.q_bias is missing"):
        to_backbone(weights, expected.backbone, "my.pth")
    gone = {k: v for k, v in weights.items() if ".blocks.1." not in k}
    with pytest.raises(FormatError, match=r"blocks\.1\.norm1\.weight is missing.*and 6 more"):
        to_backbone(gone, expected.backbone)


def test_tensors_that_do_not_fit_are_refused(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = release(public, "")
    wrong = weights | {"blocks.2.mlp.fc2.weight": torch.ones(WIDTH, 7)}
    with pytest.raises(FormatError, match=r"blocks\.2\.mlp\.fc2\.weight: shape \(24, 7\) where"):
        to_backbone(wrong, expected.backbone)
    damaged = weights | {"blocks.0.norm1.bias": torch.full((WIDTH,), torch.nan)}
    with pytest.raises(FormatError, match=r"blocks\.0\.norm1\.bias: .*not finite"):
        to_backbone(damaged, expected.backbone)
    image = weights | {"patch_embed.proj.weight": torch.ones(WIDTH, 3, 16, 16)}
    with pytest.raises(FormatError, match=r"patch_embed\.proj\.weight has shape .*VideoMAE patch"):
        to_backbone(image, expected.backbone)


FOREIGN = (
    "blocks.0.gamma_1", "blocks.0.ls1.gamma", "blocks.1.layer_scale_2.scale",
    "blocks.0.attn.q_norm.weight", "blocks.0.adapter.down_proj.weight",
    "blocks.2.temporal_attn.qkv.weight", "blocks.0.attn.qkv.lora_A.default.weight",
    "blocks.0.anything", "cls_token", "temporal_embed", "norm_pre.weight", "pos_embed_temporal",
)  # fmt: skip


@pytest.mark.parametrize("extra", FOREIGN)
@pytest.mark.parametrize("prefix", ["", "encoder.", "model.backbone."])
def test_what_has_no_place_in_the_network_is_refused_by_name(
    prefix: str, extra: str, public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = release(public, prefix) | {prefix + extra: torch.ones(WIDTH)}
    with pytest.raises(
        FormatError, match=rf"no place in this network: .*{re.escape(extra)}\. With"
    ):
        to_backbone(weights, expected.backbone)


def test_a_dropped_blocks_own_parts_do_not_matter(
    public: VideoMAEModel, expected: DetectorConfig, window: WindowConfig, tmp_path: Path
) -> None:
    torch.save(release(public, "") | {"blocks.1.gamma_1": torch.ones(WIDTH)}, tmp_path / "w.pth")
    with pytest.raises(FormatError, match=r"blocks\.1\.gamma_1"):
        load_backbone(VideoMAE(expected.backbone, window.crop, (0, 1, 2)), tmp_path / "w.pth")
    load_backbone(VideoMAE(expected.backbone, window.crop, (0, 2)), tmp_path / "w.pth")


PREFIXES = (
    "model.", "module.", "_orig_mod.", "base_model.model.", "backbone.", "model._orig_mod.module.",
    "state_dict.net.encoder.", "student.", "teacher.backbone.", "anything.at.all.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_names_may_begin_with_anything(
    name: str, prefix: str, public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = LAYOUTS[name][1](public)
    imported = to_backbone({prefix + n: t for n, t in weights.items()}, expected.backbone)
    plain = to_backbone(weights, expected.backbone)
    assert all(torch.equal(imported.weights[n], t) for n, t in plain.weights.items())
    assert prefix.partition(".")[0] in imported.report.remark or prefix == "backbone."


@pytest.mark.parametrize(
    ("averaged", "raw"),
    [
        ("teacher.", "student."),
        ("model_ema.module.", "model."),
        ("ema.", ""),
        ("target_encoder.", "encoder."),
    ],
)
def test_averaged_weights_are_preferred_and_the_report_says_so(
    averaged: str, raw: str, public: VideoMAEModel, expected: DetectorConfig
) -> None:
    truth = to_backbone(release(public, ""), expected.backbone).weights
    weights = {raw + n: t + 1 for n, t in release(public, "").items()}
    weights |= {averaged + n: t for n, t in release(public, "").items()}
    found = to_backbone(weights, expected.backbone)
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in truth.items())
    said = f"the averaged weights '{averaged}' are taken, not '{raw}'"
    assert said in found.report.summary()
    table = found.report.table()
    others = table.loc[table["detail"] == said, "source"]
    assert list(others) == sorted(raw + name for name in release(public, ""))


def test_two_networks_are_not_chosen_from(public: VideoMAEModel, expected: DetectorConfig) -> None:
    weights = release(public, "rgb.") | release(public, "flow.")
    with pytest.raises(FormatError, match=r"several networks, under 'flow\.' and 'rgb\.': save"):
        to_backbone(weights, expected.backbone)


def test_unknown_tensors_around_the_network_are_reported(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = release(public, "encoder.") | {"surprise.weight": torch.ones(2, 3)}
    report = to_backbone(weights, expected.backbone).report
    assert [entry.theirs for entry in report.of(Status.UNEXPECTED)] == ["surprise.weight"]
    table = report.table()
    assert list(table) == ["status", "tensor", "source", "shape", "detail"]
    assert len(table) == 2 + 12 * DEPTH + 1
    row = table.set_index("tensor").loc["backbone.blocks.0.attn.qkv.bias"]
    assert row["status"] == "reshaped"
    assert row["source"] == "encoder.blocks.0.attn.q_bias + encoder.blocks.0.attn.v_bias"
    assert row["shape"] == str(3 * WIDTH)
    assert "1 unexpected" in report.summary()


def test_an_unknown_layout_lists_what_was_found_and_what_is_known() -> None:
    resnet = {"conv1.weight": torch.ones(1), "bn1.weight": torch.ones(1)}
    with pytest.raises(FormatError, match=r"bn1\.weight, conv1\.weight.*MCG-NJU.*transformers"):
        recognise(resnet)
    many = {f"conv{number}.weight": torch.ones(1) for number in range(SHOWN + 4)}
    with pytest.raises(FormatError, match=r"conv0\.weight, .* and 4 more\. Known are"):
        recognise(many)
