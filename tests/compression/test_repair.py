"""What dropped blocks did, refitted into the others."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, count, pairwise
from math import ceil, inf, isfinite
from pathlib import Path

import pandas as pd
import pytest
import torch
from given_batches import GivenBatches
from pydantic import ValidationError
from shortening import Repaired, clips, repaired_in_two, without
from tests.conftest import limited_files
from torch import Tensor, nn

from tad_blockdrop.compression import repair as repairing
from tad_blockdrop.compression.refitting import RepairError, fold, inputs_of
from tad_blockdrop.compression.repair import (
    calibration_clips,
    check_repairable,
    gap_errors,
    refitted,
    repair_model,
    spread,
)
from tad_blockdrop.config import RepairConfig, TimmConfig, VJEPA2Config
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.storage.resumable_pass import PassError, Scratch, scratch_for
from tad_blockdrop.video.windows.batches import Batch

MakeDetector = Callable[..., Detector]
ALL = RepairConfig(layers="all")


def output(model: Detector, given: Tensor) -> Tensor:
    """The backbone's tokens."""
    with torch.inference_mode():
        tokens = model.backbone.embed_clips(given)
        for index in model.kept_blocks:
            tokens = model.run_block(index, tokens)[1]
    return tokens


def distance(student: Detector, teacher: Detector) -> float:
    """Of the two outputs on clips that no repair has seen, relative."""
    wanted = output(teacher, clips(20, seed=9))
    return float((output(student, clips(20, seed=9)) - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    ("kept", "layers", "plan"),
    [
        ((0, 1, 3, 4), "gap", {1: (1,)}),
        ((0, 1, 3, 4), "all", {1: (1,), 3: (0, 1), 4: (0, 1)}),
        ((0, 3), "gap", {0: (1,), 3: (1,)}),
        ((0, 3), "all", {0: (1,), 3: (0, 1)}),
        ((1, 2, 4), "gap", {1: (0,), 2: (1,)}),
        ((2, 3, 4), "gap", {2: (0,)}),
        ((1, 3, 4), "gap", {1: (0, 1)}),
        ((1, 2, 4), "all", {1: (0, 1), 2: (0, 1), 4: (0, 1)}),
        ((0, 1, 3, 4), "none", {}),
        ((0, 1, 2, 3, 4), "all", {}),
    ],
)
def test_which_branches_are_refitted(
    kept: Sequence[int], layers: str, plan: dict[int, tuple[int, ...]]
) -> None:
    assert refitted(kept, range(5), layers) == plan  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", ["gap", "all"])
def test_a_linear_block_is_put_back_exactly(make_detector: MakeDetector, layers: str) -> None:
    teacher = make_detector()
    with torch.no_grad():  # block 2 adds a constant, which the bias of block 1 can take
        for branch in teacher.backbone.branches(teacher.backbone.blocks["2"]):
            branch.last.weight.zero_()
            branch.last.bias.normal_()
    student = without(teacher, {2})
    assert distance(student, teacher) > 0.01
    table = repair_model(student, teacher, clips(60), RepairConfig(layers=layers, ridge=(1e-9,)))
    assert distance(student, teacher) < 1e-5
    assert table["after"].iloc[0] < 1e-5 < table["before"].iloc[0]


def test_all_is_nearer_than_gap_and_gap_than_nothing(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    errors = []
    for layers in ("none", "gap", "all"):
        student = without(teacher, {1, 2})
        table = repair_model(student, teacher, clips(100), RepairConfig(layers=layers))
        errors.append(distance(student, teacher))
        assert (table["after"] <= table["before"]).all()
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.9 * errors[0]


@pytest.mark.parametrize("layers", ["gap", "all"])
def test_a_dropped_first_block_is_repaired_by_the_next(
    make_detector: MakeDetector, layers: str
) -> None:
    """The teacher's states are those behind its first block, which no kept block stands before."""
    teacher = make_detector()
    student = without(teacher, {0})
    before = distance(student, teacher)
    table = repair_model(student, teacher, clips(100), RepairConfig(layers=layers))
    assert table["before"].iloc[0] > 0.01
    assert distance(student, teacher) < 0.9 * before


def test_only_the_ends_of_branches_change(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    before, student = without(teacher, {2}).state_dict(), without(teacher, {2})
    repair_model(student, teacher, clips(60), RepairConfig(layers="all", donors=0))
    changed = {
        name for name, value in student.state_dict().items() if (value != before[name]).any()
    }
    ends = {"1.mlp.fc2"} | {f"{i}.{end}" for i in (3, 4) for end in ("attn.proj", "mlp.fc2")}
    assert changed <= {f"backbone.blocks.{e}.{kind}" for e in ends for kind in ("weight", "bias")}
    assert "backbone.blocks.1.mlp.fc2.weight" in changed


def test_what_cannot_be_better_is_left_alone(make_detector: MakeDetector) -> None:
    """A block that did nothing leaves nothing to repair."""
    teacher = make_detector()
    with torch.no_grad():
        for branch in teacher.backbone.branches(teacher.backbone.blocks["2"]):
            branch.last.weight.zero_()
            branch.last.bias.zero_()
    student = without(teacher, {2})
    table = repair_model(student, teacher, clips(30), ALL)
    assert table["ridge"].isna().all()
    assert len(table) == 5
    teacher_weights = teacher.state_dict()
    assert all(torch.equal(v, teacher_weights[name]) for name, v in student.state_dict().items())


def test_fewer_tokens_than_channels_do_no_harm(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    student = without(teacher, {3})
    before = distance(student, teacher)
    repair_model(student, teacher, clips(2), RepairConfig(layers="all", tokens=4))
    assert distance(student, teacher) <= before


def test_constant_clips_do_no_harm(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    student = without(teacher, {2})
    repair_model(student, teacher, torch.full((30, 16, 16, 16, 3), 7, dtype=torch.uint8), ALL)
    assert all(value.isfinite().all() for value in student.state_dict().values())


def overflowing(teacher: Detector, block: int) -> None:
    """A token of the first clip that goes through the MLP of a block overflows, as in fp16."""
    mlp, calls = teacher.backbone.blocks[str(block)].mlp, count()

    def spoil(_: nn.Module, inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[0, 0, 0] = inf if next(calls) == 0 else output[0, 0, 0]
        return output

    mlp.register_forward_hook(spoil)


@pytest.mark.parametrize("donors", [0, 2])  # with which the attention before a hole is refitted
def test_a_token_that_overflows_is_left_out(make_detector: MakeDetector, donors: int) -> None:
    """The teacher's, in the hole: from there on its clip has no states to go by."""
    teacher, config = make_detector(), RepairConfig(layers="all", donors=donors)
    clean, student = without(teacher, {2}), without(teacher, {2})
    expected = repair_model(clean, teacher, clips(60), config)
    overflowing(teacher, 2)
    table = repair_model(student, teacher, clips(60), config)
    left_out = [0, 1, teacher.backbone.tokens_per_clip]  # by a layer before the hole, at it, behind
    assert set(table["left_out"]) == set(left_out[donors == 0 :])
    assert (expected["left_out"] == 0).all()
    assert all(value.isfinite().all() for value in student.state_dict().values())
    assert table["after"].tolist() == pytest.approx(expected["after"].tolist(), rel=0.05)


@torch.inference_mode()
def test_a_gap_that_overflows_is_not_the_best(
    make_detector: MakeDetector, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_detector()
    clean = gap_errors(model, clips(60), ALL, [1, 2, 3, 4])
    assert "left out" not in caplog.text
    overflowing(model, 2)
    found = gap_errors(model, clips(60), ALL, [1, 2, 3, 4])
    assert found == pytest.approx(clean, rel=0.05)
    assert caplog.text.count("of a layer were left out") == 1
    torch.nn.init.constant_(model.backbone.blocks["2"].mlp.fc2.bias, inf)
    found = gap_errors(model, clips(60), ALL, [1, 2, 3, 4])
    assert [unit for unit, error in found.items() if isfinite(error)] == [1]
    assert min(found.values()) > 0


def test_too_few_clips_are_refused(make_detector: MakeDetector) -> None:
    with pytest.raises(RepairError, match=r"compress\.repair\.clips"):
        repair_model(make_detector(kept=(0, 1)), make_detector(), clips(1), ALL)


@pytest.mark.parametrize("given", [{"ridge": [0.0]}, {"ridge": []}, {"layers": "some"}, "some"])
def test_bad_settings_are_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        RepairConfig.model_validate(given)
    assert RepairConfig.model_validate("all") == ALL


def test_a_state_that_cannot_be_written_is_told(
    tmp_path: Path, make_detector: MakeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairing, "SECONDS_BETWEEN_SAVES", 0.0)
    teacher, student = make_detector(), make_detector(kept=(0, 1, 3, 4))
    with limited_files(100), pytest.raises(PassError, match="free some space"):
        repair_model(student, teacher, clips(10), ALL, scratch_for(tmp_path, student, {}))


@pytest.mark.parametrize("cut", [0, 1, 2, 4])
def test_a_repair_that_was_cut_ends_with_the_same_bits(
    tmp_path: Path, make_detector: MakeDetector, cut: int
) -> None:
    teacher = make_detector()

    def repair(scratch: Scratch | None) -> Repaired:
        student = without(teacher, {2})
        table = repair_model(student, teacher, clips(40), ALL, scratch)
        return student.state_dict(), table

    expected, rows = repair(None)
    place = scratch_for(tmp_path, without(teacher, {2}), {})
    found, again = repaired_in_two(lambda: repair(place), cut)
    pd.testing.assert_frame_equal(again, rows, check_exact=True)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_calibration_takes_clips_with_frames_alike_from_all_windows(
    make_detector: MakeDetector, batch: Batch
) -> None:
    """The second window has 20 real frames of 32, that is, one whole clip."""
    frames = batch.frames.view(4, 16, 16, 16, 3)
    loader = GivenBatches([batch])
    model = make_detector()
    assert torch.equal(calibration_clips(model, loader, 100), frames[[0, 1, 2]])
    assert torch.equal(calibration_clips(model, loader, 2), frames[[1, 2]])
    many = GivenBatches([batch, batch])
    assert torch.equal(calibration_clips(model, many, 3), frames[[1, 0, 2]])  # windows 0, 2 and 3
    whole = replace(batch, mask=torch.ones_like(batch.mask))
    assert torch.equal(calibration_clips(model, GivenBatches([whole]), 3), frames[[1, 2, 3]])


@pytest.mark.parametrize(("n", "there"), [(1, 1), (1, 6), (4, 6), (6, 6), (4, 48), (1, 48)])
def test_clips_of_a_window_are_spread_and_over_the_windows_all_are_taken_alike(
    n: int, there: int
) -> None:
    turns = [spread(n, there, turn).tolist() for turn in range(there)]
    for places in turns:
        assert len(set(places)) == n
        assert places == sorted(places)
        assert max(b - a for a, b in pairwise([places[-1] - there, *places])) <= ceil(there / n)
    assert Counter(chain(*turns)) == dict.fromkeys(range(there), n)
    assert (turns[0] == list(range(there))) == (n == there)
    assert spread(2, 8, 0).tolist() == [2, 6]


@pytest.mark.parametrize(
    ("config", "crop"),
    [
        (TimmConfig(model="test_vit"), 64),
        (TimmConfig(model="vit_tiny_patch16_224"), 32),
        (TimmConfig(model="eva02_tiny_patch14_224"), 28),
        (VJEPA2Config(width=24, depth=3, heads=2, patch=8, clip_frames=4), 16),
    ],
)
def test_a_scale_is_folded_in(config: TimmConfig | VJEPA2Config, crop: int) -> None:
    """The same outputs before a repair and after one that changed nothing."""
    if isinstance(config, VJEPA2Config):
        pytest.importorskip("transformers")
    backbone = make_backbone(config, crop, range(config.geometry.depth)).eval()
    check_repairable(backbone)
    geometry = config.geometry
    tokens = torch.randn(2, geometry.tokens(crop), geometry.width)
    block = backbone.blocks["0"]
    with torch.inference_mode():
        for branch in backbone.branches(block):
            if branch.scale is not None:
                branch.scale.uniform_(0.5, 2.0)
        expected = backbone.run_block(0, tokens)
        for place, branch in enumerate(backbone.branches(block)):
            change = torch.zeros(branch.last.in_features + 1, geometry.width, dtype=torch.float64)
            with inputs_of(branch.last) as inputs:
                found = backbone.run_block(0, tokens)[place]
            change.normal_(0, 0.1)
            wanted = found + functional_of(inputs[0], change)
            fold(branch, change)
            torch.testing.assert_close(
                backbone.run_block(0, tokens)[place], wanted, atol=1e-4, rtol=1e-4
            )
            fold(branch, -change)
        for after, before in zip(backbone.run_block(0, tokens), expected, strict=True):
            torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def functional_of(x: Tensor, change: Tensor) -> Tensor:
    """``[x 1] · change``."""
    return x @ change[:-1].float() + change[-1].float()
