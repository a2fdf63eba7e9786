"""Detectors of OpenTAD and Progressive Block Drop become ours."""

from pathlib import Path

import pytest
import torch
from public_layouts import CLASSES, DEPTH, LEVELS, NECK, TOWER, WIDTH, encode, opentad, release
from torch import Tensor
from transformers import VideoMAEModel

from tad_blockdrop.config import (
    AttentionNeckConfig,
    DetectorConfig,
    MaxNeckConfig,
    WindowConfig,
)
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.weights.convert import recognise, to_detector
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.reading import read_weights
from tad_blockdrop.detector.weights.report import Status
from tad_blockdrop.detector.weights.sizes import backbone_of

NAMES = ("run", "jump", "fall", "sit", "eat")
BLOCK = "backbone.model.backbone.blocks."


def without_blocks(weights: dict[str, Tensor], *indices: int) -> dict[str, Tensor]:
    gone = tuple(f"{BLOCK}{i}." for i in indices)
    return {name: value for name, value in weights.items() if not name.startswith(gone)}


def with_lora(weights: dict[str, Tensor], rank: int = 6) -> dict[str, Tensor]:
    """Random factors beside every qkv and proj; sizes as `x @ A @ B` wants them."""
    generator = torch.Generator().manual_seed(8)
    factors = {}
    for name in weights:
        for module, rows in (("qkv", 3 * WIDTH), ("proj", WIDTH)):
            if name.endswith(f"attn.{module}.weight") and name.startswith(BLOCK):
                stem = name.removesuffix(f"{module}.weight")
                a = torch.randn(WIDTH, rank, generator=generator)
                factors[f"{stem}lora_{module}.A"] = a
                factors[f"{stem}lora_{module}.B"] = torch.randn(rank, rows, generator=generator)
    return weights | factors


def expected_pairs() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Ours -> (theirs, our shape), written out independently."""
    both = ("weight", "bias")
    pairs: dict[str, tuple[str, tuple[int, ...]]] = {}
    for i, width in enumerate((WIDTH, NECK)):
        stem = f"embed.{i}"
        conv = ("projection." + stem + ".conv.weight", (NECK, width, 3))
        pairs[f"pyramid.embedding.{i}.conv.weight"] = conv
        for kind in both:
            norm = (f"projection.{stem}.norm.{kind}", (NECK,))
            pairs[f"pyramid.embedding.{i}.norm.{kind}"] = norm
    for block in ("stem.0", *(f"branch.{i}" for i in range(LEVELS - 1))):
        ours, theirs = f"pyramid.{block}", f"projection.{block}"
        for part in ("query", "key", "value"):
            mine = f"{ours}.attention.{part}"
            pairs[f"{mine}.conv.weight"] = (
                f"{theirs}.attn.{part}_conv.conv.weight",
                (NECK, 1, 3),
            )
            for kind in both:
                pairs[f"{mine}.norm.{kind}"] = (f"{theirs}.attn.{part}_norm.{kind}", (NECK,))
            pairs[f"{mine}.linear.weight"] = (f"{theirs}.attn.{part}.weight", (NECK, NECK))
            pairs[f"{mine}.linear.bias"] = (f"{theirs}.attn.{part}.bias", (NECK,))
        pairs[f"{ours}.attention.output.weight"] = (f"{theirs}.attn.proj.weight", (NECK, NECK))
        pairs[f"{ours}.attention.output.bias"] = (f"{theirs}.attn.proj.bias", (NECK,))
        for kind in both:
            pairs[f"{ours}.norm1.{kind}"] = (f"{theirs}.ln1.{kind}", (NECK,))
            pairs[f"{ours}.norm2.{kind}"] = (f"{theirs}.ln2.{kind}", (NECK,))
        pairs[f"{ours}.mlp.0.weight"] = (f"{theirs}.mlp.0.weight", (4 * NECK, NECK))
        pairs[f"{ours}.mlp.0.bias"] = (f"{theirs}.mlp.0.bias", (4 * NECK,))
        pairs[f"{ours}.mlp.2.weight"] = (f"{theirs}.mlp.3.weight", (NECK, 4 * NECK))
        pairs[f"{ours}.mlp.2.bias"] = (f"{theirs}.mlp.3.bias", (NECK,))
        pairs[f"{ours}.path1.scale"] = (f"{theirs}.drop_path_attn.scale", (NECK,))
        pairs[f"{ours}.path2.scale"] = (f"{theirs}.drop_path_mlp.scale", (NECK,))
    for level in range(LEVELS):
        for kind in both:
            pairs[f"pyramid.neck.{level}.{kind}"] = (f"neck.fpn_norms.{level}.{kind}", (NECK,))
    for tower, name in (("class_tower", "cls_convs"), ("offset_tower", "reg_convs")):
        for i in range(TOWER):
            conv = (f"rpn_head.{name}.{i}.conv.weight", (NECK, NECK, 3))
            pairs[f"head.{tower}.{i}.conv.weight"] = conv
            for kind in both:
                norm = (f"rpn_head.{name}.{i}.norm.{kind}", (NECK,))
                pairs[f"head.{tower}.{i}.norm.{kind}"] = norm
    pairs["head.classify.weight"] = ("rpn_head.cls_head.weight", (CLASSES, NECK, 3))
    pairs["head.classify.bias"] = ("rpn_head.cls_head.bias", (CLASSES,))
    pairs["head.regress.weight"] = ("rpn_head.reg_head.weight", (2, NECK, 3))
    pairs["head.regress.bias"] = ("rpn_head.reg_head.bias", (2,))
    return pairs


def test_every_tensor_of_projection_neck_and_head_goes_to_its_place(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = opentad(public)
    imported = to_detector(weights, NAMES, expected)
    pairs = expected_pairs()
    for ours, (theirs, shape) in pairs.items():
        assert imported.weights[ours].shape == shape, ours
        assert torch.equal(imported.weights[ours].flatten(), weights[theirs].flatten()), ours
    scales = [weights[f"rpn_head.scale.{level}.scale"].item() for level in range(LEVELS)]
    assert imported.weights["head.scales"].tolist() == scales
    rest = set(imported.weights) - set(pairs) - {"head.scales"}
    assert {name.split(".")[0] for name in rest} == {"backbone"}
    assert imported.config == expected
    assert imported.classes == NAMES
    assert not imported.report.of(Status.UNEXPECTED, Status.MISSING)


@torch.no_grad()
def test_the_imported_detector_runs_on_the_public_encoder_s_features(
    public: VideoMAEModel, expected: DetectorConfig, window: WindowConfig, clips: Tensor
) -> None:
    imported = to_detector(opentad(public), NAMES, expected)
    model = Detector(imported.config, CLASSES, window, imported.kept_blocks).eval()
    model.load_state_dict(imported.weights)
    frames = clips.flatten(0, 1)[None]
    output = model(frames, torch.ones(1, 16, dtype=torch.bool))
    slices = encode(public, clips).unflatten(1, (4, -1)).mean(dim=2)  # (clip, slice, width)
    steps = slices.flatten(0, 1).T[None]
    features = torch.nn.functional.interpolate(steps, size=16, mode="linear")
    torch.testing.assert_close(output.features, features, rtol=1e-4, atol=1e-5)
    assert output.logits.isfinite().all()


def test_dropped_blocks_are_inferred_also_the_last_ones(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = opentad(public)
    assert to_detector(without_blocks(weights, 1), NAMES, expected).kept_blocks == (0, 2)
    last = to_detector(without_blocks(weights, 2), NAMES, expected)
    assert last.kept_blocks == (0, 1)
    assert last.config.backbone.depth == DEPTH
    assert not any("blocks.2." in name for name in last.weights)
    first = to_detector(without_blocks(weights, 0, 1), NAMES, expected)
    assert first.kept_blocks == (2,)


def test_published_widths_know_how_many_blocks_there_were() -> None:
    """THUMOS-L with 18 of 24 blocks: the last one that is left is 20."""
    width, kept = 1024, [i for i in range(21) if i not in (3, 7, 11)]
    prefix = "backbone.model.backbone."
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}patch_embed.projection.weight": (width, 3, 2, 16, 16),
        "projection.embed.0.conv.weight": (512, width, 3),
        "rpn_head.cls_head.weight": (20, 512, 3),
    }
    shapes |= {f"{prefix}blocks.{i}.mlp.layers.0.0.weight": (4 * width, width) for i in kept}
    weights = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    layout, _ = recognise(weights)
    found = backbone_of(layout, weights, DetectorConfig().backbone)
    assert (found.depth, found.heads) == (24, 16)
    assert layout.block_indices() == tuple(kept)


def test_lora_is_merged_by_the_formula(public: VideoMAEModel, expected: DetectorConfig) -> None:
    plain = opentad(public)
    weights = with_lora(plain)
    imported = to_detector(weights, NAMES, expected)
    assert not imported.report.of(Status.UNEXPECTED)
    for i in range(DEPTH):
        for module in ("qkv", "proj"):
            stem = f"{BLOCK}{i}.attn."
            a = weights[f"{stem}lora_{module}.A"].double()
            b = weights[f"{stem}lora_{module}.B"].double()
            change = torch.einsum("ir,ro->oi", a, b)
            merged = plain[f"{stem}{module}.weight"].double() + change
            found = imported.weights[f"backbone.blocks.{i}.attn.{module}.weight"]
            torch.testing.assert_close(found.double(), merged, rtol=1e-5, atol=1e-5)
            assert change.abs().max() > 1
    row = imported.report.table().set_index("tensor").loc["backbone.blocks.0.attn.proj.weight"]
    assert row["source"].count(" + ") == 2


def test_half_of_a_lora_pair_is_refused(public: VideoMAEModel, expected: DetectorConfig) -> None:
    weights = with_lora(opentad(public))
    del weights[f"{BLOCK}1.attn.lora_qkv.B"]
    with pytest.raises(FormatError, match=r"blocks\.1\.attn\.lora_qkv\.B is missing"):
        to_detector(weights, NAMES, expected)


def test_averaged_weights_of_a_training_file_are_taken(
    public: VideoMAEModel, expected: DetectorConfig, tmp_path: Path
) -> None:
    weights = with_lora(opentad(public))
    raw = {f"module.{name}": value for name, value in weights.items()}
    raw["module.rpn_head.cls_head.bias"] = weights["rpn_head.cls_head.bias"] + 1
    path = tmp_path / "best.pth"
    torch.save({"epoch": 59, "state_dict": raw, "state_dict_ema": weights}, path)
    averaged = to_detector(read_weights(path), NAMES, expected)
    direct = to_detector(weights, NAMES, expected)
    assert all(torch.equal(averaged.weights[k], v) for k, v in direct.weights.items())
    torch.save({"epoch": 59, "state_dict": raw}, path)
    other = to_detector(read_weights(path), NAMES, expected).weights["head.classify.bias"]
    torch.testing.assert_close(other, direct.weights["head.classify.bias"] + 1)


@pytest.mark.parametrize("attention_window", [-1, 5, 19])
def test_what_shapes_do_not_tell_comes_from_the_configuration(
    attention_window: int, public: VideoMAEModel, expected: DetectorConfig
) -> None:
    changes = {"attention_window": attention_window, "positions": True, "heads": 4}
    asked = expected.model_copy(update={"pyramid": expected.pyramid.model_copy(update=changes)})
    assert to_detector(opentad(public), NAMES, asked).config == asked


def test_what_shapes_tell_comes_from_the_file(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    other = DetectorConfig(backbone=expected.backbone)  # six levels, width 512, two stem blocks
    found = to_detector(opentad(public, stem=0), NAMES, other).config
    assert (found.pyramid.width, found.pyramid.levels) == (NECK, LEVELS)
    assert (found.pyramid.stem_blocks, found.pyramid.embed_layers) == (0, 2)
    assert found.head.tower_layers == TOWER
    assert found.head.ranges == ((0, 4), (4, 8), (8, 10000))


def test_a_detector_is_read_where_another_neck_is_expected(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    max_neck = expected.model_copy(update={"pyramid": MaxNeckConfig(width=NECK, levels=LEVELS)})
    pyramid = to_detector(opentad(public), NAMES, max_neck).config.pyramid
    assert isinstance(pyramid, AttentionNeckConfig)
    assert (pyramid.width, pyramid.levels, pyramid.heads) == (NECK, LEVELS, 4)


def test_class_names(public: VideoMAEModel, expected: DetectorConfig) -> None:
    weights = opentad(public)
    assert to_detector(weights, None, expected).classes[-1] == "class_04"
    with pytest.raises(FormatError, match=r"detects 5 classes, but 2 names are given \(a, b\)"):
        to_detector(weights, ("a", "b"), expected)


def test_incomplete_or_foreign_detectors_are_refused(
    public: VideoMAEModel, expected: DetectorConfig
) -> None:
    weights = opentad(public)
    lacking = {k: v for k, v in weights.items() if k != "neck.fpn_norms.1.bias"}
    with pytest.raises(FormatError, match=r"neck\.fpn_norms\.1\.bias is missing"):
        to_detector(lacking, NAMES, expected)
    levels = {k: v for k, v in weights.items() if not k.startswith("rpn_head.scale.2")}
    with pytest.raises(FormatError, match=r"rpn_head\.scale\.1\.scale: shape .* where \(3,\)"):
        to_detector(levels, NAMES, expected)
    adapters = weights | {f"{BLOCK}0.adapter.up_proj.weight": torch.ones(2, 2)}
    with pytest.raises(FormatError, match=r"no place in this network: .*adapter\.up_proj\.weight"):
        to_detector(adapters, NAMES, expected)
    with pytest.raises(FormatError, match=r"a\.pth holds a backbone only \(MCG-NJU.*backbone_wei"):
        to_detector(release(public, ""), NAMES, expected, "a.pth")
