"""The detector as a whole: dropping, checkpoints, gradients, padding."""

from dataclasses import dataclass, replace

import pytest
import torch
from pydantic import BaseModel, ValidationError
from shortening import without
from torch import Tensor

from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DetectorConfig,
    PostprocessConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.detections.losses import DetectionLoss
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.detector.model import Detector, from_checkpoint, weights_of

N_CLASSES = 5


def checkpoint_of(model: Detector) -> Checkpoint:
    return Checkpoint(
        weights=weights_of(model),
        detector=model.config,
        kept_blocks=model.kept_blocks,
        classes=tuple("abcde"),
        window=model.window,
        every=4,
        fps=None,
        postprocess=PostprocessConfig(),
    )


@dataclass(frozen=True)
class Given:
    """What a model takes of a batch."""

    frames: Tensor
    mask: Tensor
    features: Tensor | None = None


@dataclass(frozen=True)
class Target:
    """What the loss takes of a batch."""

    segments: list[Tensor]
    labels: list[Tensor]


@torch.no_grad()
def test_shapes_and_block_outputs(model: Detector, frames: Tensor, mask: Tensor) -> None:
    output = model(frames, mask)
    n_points = 32 + 16 + 8
    assert output.logits.shape == (2, n_points, N_CLASSES)
    assert output.offsets.shape == (2, n_points, 2)
    assert output.mask.shape == (2, n_points)
    assert len(output.points.location) == n_points
    assert output.features.shape == (2, 24, 32)
    assert output.blocks == {}
    assert output.mids == {}
    full = model(frames, mask, range(4), range(4))
    assert torch.equal(full.logits, output.logits)
    assert list(full.blocks) == list(full.mids) == [0, 1, 2, 3]
    mid, out = model.backbone.run_block(2, full.blocks[1])
    assert torch.equal(mid, full.mids[2])
    assert torch.equal(out, full.blocks[2])
    some = model(frames, mask, outs={0, 3}, mids=[2])
    assert (list(some.blocks), list(some.mids)) == ([0, 3], [2])
    assert torch.equal(some.blocks[3], full.blocks[3])
    assert torch.equal(some.mids[2], full.mids[2])
    assert torch.equal(some.logits, output.logits)


@torch.no_grad()
def test_part_of_an_output_is_that_of_its_windows(
    model: Detector, frames: Tensor, mask: Tensor
) -> None:
    output = model(frames, mask, range(4))
    part = output[1:]
    for name in ("logits", "offsets", "mask", "features"):
        assert torch.equal(getattr(part, name), getattr(output, name)[1:])
    assert part.points is output.points
    assert (part.blocks, part.mids) == ({}, {})


@torch.no_grad()
def test_a_batch_of_features_needs_no_backbone(
    model: Detector, frames: Tensor, mask: Tensor
) -> None:
    whole = model.output_of(Given(frames, mask))
    assert torch.equal(whole.logits, model(frames, mask).logits)
    del model.backbone.blocks
    found = model.output_of(Given(frames[:, :0], mask, whole.features))
    assert torch.equal(found.logits, whole.logits)


@pytest.mark.parametrize("clips", [1, 3])
def test_clips_taken_some_at_a_time_change_nothing(
    clips: int, model: Detector, frames: Tensor, mask: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        whole = model(frames, mask, range(4), range(4))
        numbers = whole.blocks[0][0].numel()
        sizes: list[int] = []
        run = model.backbone.run_block

        def counted(index: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
            sizes.append(len(tokens))
            return run(index, tokens)

        monkeypatch.setattr(model.backbone, "run_block", counted)
        monkeypatch.setattr("tad_blockdrop.detector.model._AT_ONCE", clips * numbers)
        parts = model(frames, mask, range(4), range(4))
    assert set(sizes) <= {clips, len(whole.blocks[0]) % clips}
    assert sum(sizes) == 4 * len(whole.blocks[0])
    torch.testing.assert_close(parts.logits, whole.logits, rtol=1e-4, atol=1e-5)
    for index in model.kept_blocks:
        torch.testing.assert_close(parts.mids[index], whole.mids[index], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(parts.blocks[index], whole.blocks[index], rtol=1e-4, atol=1e-5)
    sizes.clear()
    model(frames, mask)  # what is learned goes through whole
    assert set(sizes) == {len(whole.blocks[0])}


@torch.no_grad()
def test_detecting_on_features_equals_the_whole(
    model: Detector, frames: Tensor, mask: Tensor
) -> None:
    whole = model(frames, mask)
    part = model.read_out(whole.features, mask)
    assert torch.equal(part.logits, whole.logits)
    assert torch.equal(part.offsets, whole.offsets)


@torch.no_grad()
def test_windows_of_a_batch_are_independent(model: Detector, frames: Tensor, mask: Tensor) -> None:
    together = model(frames, mask)
    alone = model(frames[1:], mask[1:])
    torch.testing.assert_close(together.logits[1:], alone.logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_dropped_block_is_gone_and_equals_skipping_it(
    model: Detector, frames: Tensor, mask: Tensor
) -> None:
    tokens = model.backbone.embed(frames)
    for index in (0, 2, 3):
        _, tokens = model.backbone.run_block(index, tokens)
    skipped = model.read_out(model.backbone.pool(tokens, 2, 32), mask)
    before = sum(p.numel() for p in model.parameters())
    block = sum(p.numel() for p in model.backbone.blocks["1"].parameters())
    full = model(frames, mask)
    model = without(model, {1})
    assert model.kept_blocks == (0, 2, 3)
    assert sum(p.numel() for p in model.parameters()) == before - block
    assert not any("blocks.1." in name for name in model.state_dict())
    dropped = model(frames, mask)
    assert torch.equal(dropped.logits, skipped.logits)
    assert not torch.allclose(dropped.logits, full.logits)


@torch.no_grad()
def test_checkpoint_round_trip_with_dropped_blocks(
    model: Detector, frames: Tensor, mask: Tensor
) -> None:
    model = without(model, {2})
    expected = model(frames, mask)
    restored = from_checkpoint(checkpoint_of(model))
    assert restored.kept_blocks == (0, 1, 3)
    assert not restored.training
    found = restored(frames, mask)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.offsets, expected.offsets)
    assert weights_hash(weights_of(restored)) == weights_hash(weights_of(model))


def test_a_checkpoint_that_lies_about_its_blocks_is_refused(model: Detector) -> None:
    checkpoint = replace(checkpoint_of(model), kept_blocks=(0, 1))
    with pytest.raises(ValueError, match=r"do not fit the architecture.*\(0, 1\)"):
        from_checkpoint(checkpoint)


def test_weights_are_a_copy_and_hold_only_what_is_learned(model: Detector) -> None:
    weights = weights_of(model)
    assert set(weights) == {name for name, _ in model.named_parameters()}
    before = weights_hash(weights)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert weights_hash(weights) == before
    assert weights_hash(weights_of(model)) != before


def test_every_parameter_learns(
    config: DetectorConfig, window: WindowConfig, frames: Tensor, mask: Tensor
) -> None:
    torch.manual_seed(0)
    still = config.model_copy(
        update={
            "backbone": config.backbone.model_copy(update={"drop_path": 0.0}),
            "pyramid": config.pyramid.model_copy(update={"drop_path": 0.0}),
        }
    )
    model = Detector(still, N_CLASSES, window).train()
    segments = [torch.tensor([[2.0, 8.0], [1.0, 30.0]]), torch.tensor([[4.0, 13.0]])]
    labels = [torch.tensor([0, 1]), torch.tensor([2])]
    target = Target(segments, labels)
    terms = DetectionLoss(config.head)(model(frames, mask), target, training=True).terms
    (terms["cls"] + terms["reg"]).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (VideoMAEConfig, {"pretrain_size": 100}, "pretrain_size 100 is not a multiple of patch"),
        (AttentionNeckConfig, {"embed_kernel": 2}, "embed_kernel must be odd"),
        (AnchorFreeConfig, {"kernel": 4}, "kernel must be odd"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused_by_the_configuration(
    part: type[BaseModel], value: dict[str, int], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        part(**value)


@pytest.mark.parametrize("kept", [(), (1, 0), (0, 0), (0, 4), (-1, 0)])
def test_impossible_blocks_are_refused(
    config: DetectorConfig, window: WindowConfig, kept: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="distinct, ascending indices of a backbone of 4 blocks"):
        Detector(config, N_CLASSES, window, kept)


def test_a_window_that_does_not_cut_into_clips_is_refused(config: DetectorConfig) -> None:
    window = WindowConfig(frames=36, grid=36, crop=16, short_side=16)
    with pytest.raises(ValueError, match=r"window\.frames \(36\) must be a multiple of"):
        Detector(config, N_CLASSES, window)


@pytest.mark.parametrize(
    ("width", "depth", "heads", "millions"), [(384, 12, 6, 21.9), (768, 12, 12, 86.2)]
)
def test_size_of_the_published_backbones(
    width: int, depth: int, heads: int, millions: float
) -> None:
    """VideoMAE reports ViT-S 22 M and ViT-B 87 M parameters with head and final norm."""
    with torch.device("meta"):
        backbone = Detector(
            DetectorConfig(backbone=VideoMAEConfig(width=width, depth=depth, heads=heads)),
            20,
            WindowConfig(),
        ).backbone
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_trains_under_bfloat16_autocast(model: Detector, frames: Tensor, mask: Tensor) -> None:
    exact = model(frames, mask)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(frames, mask)
        target = Target([torch.tensor([[2.0, 8.0]])] * 2, [torch.tensor([1])] * 2)
        terms = DetectionLoss(model.config.head)(output, target, training=True).terms
    assert output.logits.dtype == torch.bfloat16
    drift = (output.logits.float() - exact.logits).square().mean().sqrt()
    assert 0 < drift < 0.1 * exact.logits.std()
    (terms["cls"] + terms["reg"]).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
