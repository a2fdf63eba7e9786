"""The V-JEPA 2 backbone against the encoder of ``transformers``."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tad_blockdrop.compression.lora import add_lora, merge_lora
from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    BackboneConfig,
    DetectorConfig,
    LoraSettings,
    PostprocessConfig,
    TrainConfig,
    VJEPA2Config,
    WindowConfig,
)
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.backbones.vjepa2 import VJEPA2
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.export.onnx import open_session, to_onnx
from tad_blockdrop.export.torch_export import from_archive, to_archive, trace
from tad_blockdrop.metrics.cost import macs
from tad_blockdrop.training.groups import freeze_for

transformers = pytest.importorskip("transformers")

CONFIG = VJEPA2Config(width=28, depth=4, heads=2, mlp_ratio=2.5, patch=8, clip_frames=6)
CROP = 24


@pytest.fixture
def detector(request: pytest.FixtureRequest) -> Detector:
    """Blocks 0 and 2 of four, three classes, windows of four clips; exports quickly."""
    config = DetectorConfig(
        backbone=CONFIG,
        pyramid=AttentionNeckConfig(width=16, heads=2, levels=1, stem_blocks=0),
        head=AnchorFreeConfig(ranges=((0, 10000),), tower_layers=1),
    )
    window = WindowConfig(frames=24, grid=8, crop=CROP, short_side=CROP)
    model = Detector(config, 3, window, (0, 2)).eval()
    request.getfixturevalue("loud")(model)
    return model


def theirs(crop: int = CROP) -> nn.Module:
    """A whole model with its predictor, loud enough that nothing is near the identity."""
    torch.manual_seed(0)
    model = transformers.VJEPA2Model(
        transformers.VJEPA2Config(
            crop_size=crop, frames_per_clip=6, tubelet_size=2, patch_size=8, hidden_size=28,
            num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2.5, pred_hidden_size=12,
            pred_num_attention_heads=2, pred_num_hidden_layers=1, pred_num_mask_tokens=1,
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape), alpha=0.2)
    return model


def some_clips(crop: int = CROP, frames: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (2, frames, crop, crop, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def their_pixels(clips: Tensor) -> Tensor:
    """Clips as the public processor makes them, but for resizing and cropping."""
    processor = transformers.VJEPA2VideoProcessor(do_resize=False, do_center_crop=False)
    frames = list(clips.permute(0, 1, 4, 2, 3))
    pixels: Tensor = processor(frames, return_tensors="pt")["pixel_values_videos"]
    return pixels


def encode(backbone: VJEPA2, clips: Tensor) -> Tensor:
    tokens = backbone.embed(clips)
    for name in backbone.blocks:
        _, tokens = backbone.run_block(int(name), tokens)
    return tokens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    theirs().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@torch.no_grad()
@pytest.mark.parametrize("crop", [24, 40])
@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (0, 2)])
def test_equals_the_encoder_of_transformers(crop: int, kept: tuple[int, ...], folder: Path) -> None:
    """Weights saved at 24 pixels, by their names, also for other frames and fewer blocks."""
    public, ours = theirs(crop), VJEPA2(CONFIG, crop, kept).eval()
    assert ours.load_weights(folder) == (
        f"V-JEPA 2 of transformers: {4 + 16 * len(kept)} tensors taken, "
        f"{len(public.state_dict()) - 4 - 16 * len(kept)} left out"
    )
    public.encoder.layer = nn.ModuleList(public.encoder.layer[i] for i in kept)
    clips = some_clips(crop)
    expected = public(their_pixels(clips), skip_predictor=True).last_hidden_state
    assert expected.std() > 0.5
    tokens = encode(ours, clips)
    torch.testing.assert_close(ours.layernorm(tokens), expected, rtol=0, atol=2e-5)
    steps = expected.view(2, 3, ours.tokens_per_clip // 3, 28).mean(dim=2)
    torch.testing.assert_close(ours.pool_clips(tokens), steps, rtol=0, atol=2e-5)


@torch.no_grad()
def test_a_block_gives_the_state_after_the_attention_and_the_output(folder: Path) -> None:
    ours = VJEPA2(CONFIG, CROP, range(4)).eval()
    ours.load_weights(folder)
    tokens, layer = torch.randn(2, 27, 28), theirs().encoder.layer[1]
    mid, out = ours.run_block(1, tokens)
    torch.testing.assert_close(mid, tokens + layer.attention(layer.norm1(tokens))[0])
    torch.testing.assert_close(out, layer(tokens)[0])


@torch.no_grad()
def test_clips_are_independent() -> None:
    ours, window = VJEPA2(CONFIG, CROP, range(4)).eval(), some_clips(frames=12)
    changed = window.clone()
    changed[0, 6:] = 0
    before, after = encode(ours, window), encode(ours, changed)
    assert torch.equal(before[[0, 2, 3]], after[[0, 2, 3]])
    assert not torch.allclose(before[1], after[1])


def test_drop_path_follows_the_original_index() -> None:
    ours = VJEPA2(CONFIG.model_copy(update={"drop_path": 0.3}), CROP, (0, 2, 3))
    rates = {name: block.drop_path.drop_prob for name, block in ours.blocks.items()}
    assert rates == pytest.approx({"0": 0.0, "2": 0.2, "3": 0.3})
    torch.manual_seed(0)
    tokens = torch.randn(64, 27, 28)
    mid, out = ours.train().run_block(3, tokens)
    untouched = (out == tokens).flatten(1).all(dim=1)
    assert 0 < untouched.sum() < 32  # 0.09 of them lose both branches
    assert (mid == tokens).flatten(1).all(dim=1).sum() > untouched.sum()


def test_files_of_other_models_around_the_encoder(folder: Path, tmp_path: Path) -> None:
    public = theirs().state_dict()
    weights = {f"vjepa2.{n}": t for n, t in public.items() if n.startswith("encoder.")}
    torch.save(weights | {"classifier.bias": torch.zeros(3)}, tmp_path / "classifier.bin")
    inner = {n.removeprefix("encoder."): t for n, t in public.items() if n.startswith("encoder.")}
    both = {"encoder": {n: t + 1 for n, t in inner.items()}, "target_encoder": inner}
    torch.save(both, tmp_path / "averaged.pt")
    for path in (folder, tmp_path / "classifier.bin", tmp_path / "averaged.pt"):
        ours = VJEPA2(CONFIG, CROP, range(4))
        ours.load_weights(path)
        assert torch.equal(
            ours.blocks["3"].mlp.fc2.weight, public["encoder.layer.3.mlp.fc2.weight"]
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.layer.1.norm2.bias": None}, r"encoder\.layer\.1\.norm2\.bias is missing"),
        ({"encoder.layernorm.weight": None}, r"encoder\.layernorm\.weight is missing"),
        ({"encoder.layer.1.scale": torch.ones(1)}, r"encoder\.layer\.1\.scale has no place"),
        ({"encoder.layer.4.norm1.bias": torch.ones(28)}, r"layer\.4\.norm1\.bias has no place"),
        ({"encoder.layer.0.mlp.fc1.bias": torch.ones(9)}, r"is of shape \(9,\), not \(70,\)"),
        ({"encoder.layer.0.norm1.bias": torch.full((28,), torch.nan)}, "not finite"),
    ],
)
def test_weights_that_do_not_fit(
    changes: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    weights = theirs().state_dict() | changes
    torch.save({n: t for n, t in weights.items() if t is not None}, tmp_path / "weights.bin")
    with pytest.raises(FormatError, match=message):
        VJEPA2(CONFIG, CROP, range(4)).load_weights(tmp_path / "weights.bin")


def test_sizes_are_compared_with_the_models_own(folder: Path) -> None:
    """The number of heads changes no shape."""
    ours = VJEPA2(CONFIG.model_copy(update={"heads": 4, "depth": 5}), CROP, range(4))
    for path in (folder, folder / "model.safetensors"):
        with pytest.raises(FormatError, match=r"depth: 4 \(not 5\), detector\.backbone\.heads: 2"):
            ours.load_weights(path)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match=r"config\.json is damaged"):
        ours.load_weights(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "other"}), encoding="utf-8")
    VJEPA2(CONFIG, CROP, range(4)).load_weights(folder)


def test_a_checkpoint_of_ours_says_what_its_weights_are_for(
    detector: Detector, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(
        weights_of(detector), detector.config, detector.kept_blocks, tuple("abc"), detector.window,
        4, None, PostprocessConfig(),
    )  # fmt: skip
    write_checkpoint(checkpoint, tmp_path / "c")
    trained_otherwise = CONFIG.model_copy(update={"drop_path": 0.3, "weights": "elsewhere"})
    VJEPA2(trained_otherwise, CROP, (0, 2)).load_weights(tmp_path / "c")
    other = VJEPA2(CONFIG.model_copy(update={"heads": 4, "clip_frames": 12}), CROP, (0, 2))
    with pytest.raises(FormatError, match=r"heads: 2 \(not 4\), .*clip_frames: 6 \(not 12\)$"):
        other.load_weights(tmp_path / "c")


def test_nothing_is_downloaded() -> None:
    with pytest.raises(FormatError, match="download a model yourself"):
        VJEPA2(CONFIG, CROP, range(4)).load_weights("pretrained")


@torch.no_grad()
def test_lora_is_added_trained_beside_and_merged(detector: Detector) -> None:
    clips, mask = some_clips(frames=24), torch.ones(2, 8, dtype=torch.bool)
    names, before = list(detector.state_dict()), detector(clips, mask).logits
    every = LoraSettings(targets=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"))
    add_lora(detector, every, seed=0)
    assert torch.equal(detector(clips, mask).logits, before)
    freeze_for(detector, TrainConfig(tuning="lora", lora=every))
    trained = {n for n, p in detector.backbone.named_parameters() if p.requires_grad}
    lora = {n for n in trained if ".lora_" in n}
    assert len(lora) == 2 * 2 * 6  # blocks, matrices, layers
    assert {n.split(".")[-2] for n in trained - lora} == {"proj", "norm1", "norm2", "layernorm"}
    assert "embeddings.patch_embeddings.proj.weight" in trained
    for name in lora:
        nn.init.normal_(detector.backbone.get_parameter(name), std=0.3)
    adapted = detector(clips, mask).logits
    assert not torch.allclose(adapted, before, atol=1e-3)
    merge_lora(detector)
    assert list(detector.state_dict()) == names
    torch.testing.assert_close(detector(clips, mask).logits, adapted, rtol=0, atol=2e-5)


@torch.no_grad()
def test_exports_give_the_same_numbers(detector: Detector) -> None:
    program = trace(detector)
    mask = torch.arange(8) < torch.tensor([[8], [5], [8]])
    frames = some_clips(frames=24)[[0, 1, 1]]
    expected = detector(frames, mask)
    assert expected.logits.std() > 0.1
    logits, offsets = open_session(to_onnx(program), threads=1)(frames.numpy(), mask.numpy())
    assert logits == pytest.approx(expected.logits.numpy(), abs=1e-4)
    assert offsets == pytest.approx(expected.offsets.numpy(), abs=1e-4)
    logits, offsets = from_archive(to_archive(program))(frames, mask)
    torch.testing.assert_close(logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(offsets, expected.offsets, atol=1e-5, rtol=0)


def test_cost_is_the_formula_of_a_transformer(detector: Detector) -> None:
    n, d, hidden, clips = 27, 28, 70, 4
    block = clips * (4 * n * d * d + 2 * n * d * hidden + 2 * n * n * d)
    cost = macs(detector.config, 3, detector.window, (0, 2))
    assert cost.block == block
    assert cost.blocks == 2 * block
    assert cost.embedding == clips * n * d * 3 * 2 * 8 * 8


def test_sizes_that_fit_no_encoder() -> None:
    with pytest.raises(ValidationError, match="width 28 is not a multiple of heads 3"):
        VJEPA2Config(width=28, heads=3)
    with pytest.raises(ValidationError, match="width 20 is too little for 4 heads"):
        VJEPA2Config(width=20, heads=4)
    with pytest.raises(ValidationError, match="clip_frames 7 is not a multiple of tubelet 2"):
        VJEPA2Config(clip_frames=7)
    with pytest.raises(ValueError, match=r"window\.crop \(20\) must be a multiple"):
        make_backbone(CONFIG, 20, range(4))


def test_a_missing_package_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BlockDropError, match=r"pip install -e '\.\[vjepa2\]'"):
        VJEPA2(CONFIG, CROP, range(4))
    assert importlib.util.find_spec("transformers") is None
    with pytest.raises(ValidationError, match=r"pip install -e '\.\[vjepa2\]'"):
        BackboneConfig.model_validate({"kind": "vjepa2"})
