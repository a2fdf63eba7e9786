"""A block's attention or MLP is dropped, ranked and repaired like a block."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from given_batches import GivenBatches
from shortening import Repaired, clips, repaired_in_two
from torch import Tensor

from tad_blockdrop.compression.criteria import find_criterion
from tad_blockdrop.compression.criteria.contract import Candidates
from tad_blockdrop.compression.dropping import UnitError, check_units, choose_block, drop_block
from tad_blockdrop.compression.lora import add_lora, merge_lora
from tad_blockdrop.compression.ranking import candidate_skips, score_blocks
from tad_blockdrop.compression.repair import refitted, repair_model
from tad_blockdrop.compression.skipping import Skip, skipped_features
from tad_blockdrop.config import (
    CompressConfig,
    LoraSettings,
    RepairConfig,
    TimmConfig,
    VideoMAEConfig,
    VJEPA2Config,
)
from tad_blockdrop.detections.task import DetectionTask
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, evaluating, from_checkpoint
from tad_blockdrop.detector.units import (
    SUB_LAYERS,
    State,
    SubLayer,
    Unit,
    candidate_units,
    describe_blocks,
    expected_states,
    own_states,
    parse_unit,
    sub_layers,
    without_unit,
)
from tad_blockdrop.storage.resumable_pass import Scratch, scratch_for
from tad_blockdrop.video.windows.batches import Batch

MakeDetector = Callable[..., Detector]
A, M = ((lambda i, n=name: SubLayer(i, n)) for name in SUB_LAYERS)
ALL = RepairConfig(layers="all")
KINDS = [
    (VideoMAEConfig(width=16, depth=3, heads=2, patch=8, pretrain_size=16), 16),
    (TimmConfig(model="test_vit"), 64),  # with LayerScale
    (TimmConfig(model="eva02_tiny_patch14_224"), 28),
    (VJEPA2Config(width=24, depth=3, heads=2, patch=8, clip_frames=4), 16),
]


def silenced(model: Any, units: Sequence[SubLayer]) -> Any:
    """The branches are still there and add zero."""
    with torch.no_grad():
        for unit in units:
            ends = model.branches(model.blocks[str(unit.block)])
            ends[SUB_LAYERS.index(unit.name)].last.weight.zero_()
            ends[SUB_LAYERS.index(unit.name)].last.bias.zero_()
    return model


def features(backbone: Backbone, tokens: Tensor) -> Tensor:
    with torch.inference_mode():
        for index in backbone.blocks:
            tokens = backbone.run_block(int(index), tokens)[1]
        return backbone.pool_clips(tokens)


@pytest.mark.parametrize(("config", "crop"), KINDS)
def test_a_dropped_sub_layer_is_gone_and_adds_nothing(config: Any, crop: int) -> None:
    if isinstance(config, VJEPA2Config):
        pytest.importorskip("transformers")
    geometry = config.geometry
    whole = make_backbone(config, crop, range(3)).eval()
    tokens = torch.randn(2, geometry.tokens(crop), geometry.width)
    kept = (0, M(1), A(2))
    halves = make_backbone(config, crop, kept).eval()
    given = whole.state_dict()
    halves.load_state_dict({name: given[name] for name in halves.state_dict()})
    assert halves.kept_units == kept
    attention, mlp = (whole.sub_layers[name] for name in SUB_LAYERS)
    gone = {tuple(name.split(".")[1:3]) for name in given.keys() - halves.state_dict()}
    assert {("1", attention[0]), ("2", mlp[0])} <= gone
    assert gone <= {("1", part) for part in attention} | {("2", part) for part in mlp}
    found = features(halves, tokens)
    torch.testing.assert_close(found, features(silenced(whole, [A(1), M(2)]), tokens))
    for unit in (M(1), A(2)):
        halves.drop(unit)
    assert list(halves.blocks) == ["0"]


def test_units_have_names() -> None:
    kept = (0, 2, M(3))
    assert [str(u) for u in sub_layers(kept)] == [
        "0.attention", "0.mlp", "2.attention", "2.mlp", "3.mlp",
    ]  # fmt: skip
    assert [parse_unit(str(u)) for u in sub_layers(kept)] == sub_layers(kept)
    assert str(kept) == "(0, 2, 3.mlp)"
    assert describe_blocks(kept) == "3 blocks (1 without attention)"
    assert describe_blocks((A(0), M(1), A(2))) == "3 blocks (2 without MLP, 1 without attention)"
    assert (describe_blocks((4,)), describe_blocks((0, 1))) == ("1 block", "2 blocks")
    assert candidate_units(kept, "block") == [0, 2, 3]
    assert candidate_units(kept, "attention") == [A(0), A(2)]
    assert candidate_units(kept, "sublayer") == sub_layers(kept)
    assert without_unit(kept, 3) == without_unit(kept, M(3)) == (0, 2)
    assert without_unit(kept, M(0)) == (A(0), 2, M(3))
    assert without_unit(kept, A(3)) == kept
    with pytest.raises(ValueError, match="neither a block"):
        parse_unit("5.norm")


def skips_of(*kept: Unit) -> list[Skip]:
    units = [*sub_layers(kept), *(u for u in kept if isinstance(u, int))]
    return [
        Skip(),
        *map(frozenset, combinations(units, 1)),
        *map(frozenset, combinations(units, 2)),
    ]


@pytest.mark.parametrize("kept", [(0, 1, 2), (0, M(2), A(3), 4), (A(0), M(1))])
def test_skipping_equals_models_that_never_had_it(
    make_detector: MakeDetector, batch: Batch, kept: tuple[Unit, ...]
) -> None:
    model = make_detector()
    for unit in set(sub_layers(range(5))) - set(sub_layers(kept)):
        model.backbone.drop(unit)
    assert model.kept_units == kept
    skips = skips_of(*kept)
    with torch.inference_mode():
        found = skipped_features(model, batch.frames, skips)
    for one, skip in zip(found, skips, strict=True):
        left = [u for u in sub_layers(kept) if not skip & {u, u.block}]
        with torch.inference_mode():
            tokens = model.backbone.embed(batch.frames)
            for index in model.kept_blocks:
                gone = [name for name in SUB_LAYERS if SubLayer(index, name) not in left]
                tokens = model.backbone.run_block(index, tokens, gone)[1]
            expected = model.backbone.pool(tokens, 2, model.grid)
        torch.testing.assert_close(one, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("criterion", ["block_mse", "gap_error", "repaired_features", "train_loss"])
def test_sub_layers_are_ranked(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask, criterion: str
) -> None:
    model = make_detector(kept=(0, 1, 3))
    model.backbone.drop(A(1))
    compress = CompressConfig(criterion=criterion, unit="sublayer", repair=ALL)
    table = score_blocks(model, GivenBatches([batch]), task, compress)
    assert sorted(table["block"]) == ["0.attention", "0.mlp", "1.mlp", "3.attention", "3.mlp"]
    assert isinstance(choose_block(table).block, SubLayer)
    silent = silenced(make_detector(kept=(0, 1, 3)).backbone, [M(1)])
    model.backbone.load_state_dict({k: silent.state_dict()[k] for k in model.backbone.state_dict()})
    assert choose_block(score_blocks(model, GivenBatches([batch]), task, compress)).block == M(1)


def test_changes_are_those_of_the_branches(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    model = make_detector(kept=(0, 2))
    skips = candidate_skips(candidate_units((0, 2), "sublayer"), 1)
    with evaluating(model):
        given = Candidates(skips, task, GivenBatches([batch]), None, model, RepairConfig())
        found = find_criterion("block_mse").score(model, given)
        out = model(batch.frames, batch.mask, outs=(0, 2), mids=(0, 2))
    mid = (out.mids[2] - out.blocks[0]).square().mean()
    assert found[Skip({A(2)})] == pytest.approx(float(mid))
    assert found[Skip({M(2)})] == pytest.approx(
        float((out.blocks[2] - out.mids[2]).square().mean())
    )


def test_a_checkpoint_without_sub_layers_comes_back(
    tmp_path: Path, checkpoint: Checkpoint, batch: Batch
) -> None:
    shorter = drop_block(drop_block(checkpoint, A(2)), M(3))
    assert shorter.kept_blocks == (0, M(2), A(3))
    write_checkpoint(shorter, tmp_path / "short")
    assert '"2.mlp"' in (tmp_path / "short" / "config.json").read_text()
    again = read_checkpoint(tmp_path / "short")
    assert again.kept_blocks == shorter.kept_blocks
    expected = from_checkpoint(checkpoint)
    silenced(expected.backbone, [A(2), M(3)])
    with torch.inference_mode():
        found = from_checkpoint(again)(batch.frames, batch.mask)
        torch.testing.assert_close(found.logits, expected(batch.frames, batch.mask).logits)
    assert drop_block(shorter, M(2)).kept_blocks == (0, A(3))
    with pytest.raises(ValueError, match=r"2\.attention cannot be dropped"):
        drop_block(shorter, A(2))


def test_whole_blocks_are_stored_as_before(tmp_path: Path, checkpoint: Checkpoint) -> None:
    write_checkpoint(checkpoint, tmp_path / "whole")
    text = (tmp_path / "whole" / "config.json").read_text()
    assert '"kept_blocks": [\n    0,\n    2,\n    3\n  ]' in text


@pytest.mark.parametrize(
    ("kept", "layers", "plan"),
    [
        ((0, M(1), 2), "gap", {0: (1,)}),
        ((0, A(1), 2), "gap", {1: (0,)}),
        ((0, A(1), 2), "all", {1: (0,), 2: (0, 1)}),
        ((0, M(1), 2), "all", {0: (1,), 1: (1,), 2: (0, 1)}),
        ((M(0), A(1)), "all", {0: (1,), 1: (0,)}),
        ((M(0), A(1)), "gap", {0: (1,), 1: (0,)}),
        ((0, 1, A(2)), "gap", {2: (0,)}),
    ],
)
def test_which_branches_are_refitted(
    kept: Sequence[Unit], layers: Any, plan: dict[int, tuple[int, ...]]
) -> None:
    assert refitted(kept, range(3), layers) == plan


def cut(model: Detector, *units: Unit) -> Detector:
    """The same weights without these units."""
    kept = model.kept_units
    for unit in units:
        kept = without_unit(kept, unit)
    shorter = Detector(model.config, model.n_classes, model.window, kept).eval()
    weights = model.state_dict()
    shorter.load_state_dict({name: weights[name] for name in shorter.state_dict()})
    return shorter


def distance(student: Detector, teacher: Detector) -> float:
    """Of the two outputs on clips that no repair has seen, relative."""
    outputs = []
    for model in (student, teacher):
        with torch.inference_mode():
            tokens = model.backbone.embed_clips(clips(20, seed=9))
            for index in model.kept_blocks:
                tokens = model.run_block(index, tokens)[1]
        outputs.append(tokens)
    return float((outputs[0] - outputs[1]).norm() / outputs[1].norm())


@pytest.mark.parametrize("layers", ["gap", "all"])
@pytest.mark.parametrize(
    "dropped", [(A(2),), (M(2),), (A(3),), (M(1), A(2)), (M(1), 2, A(3)), (A(4),), (M(4),)]
)
def test_a_linear_sub_layer_is_put_back_exactly(
    make_detector: MakeDetector, layers: Any, dropped: tuple[Unit, ...]
) -> None:
    """What adds a constant is taken over by the bias of the branch before."""
    teacher = make_detector()
    silenced(teacher.backbone, (gone := sub_layers(dropped)))
    with torch.no_grad():
        for unit in gone:
            ends = teacher.backbone.branches(teacher.backbone.blocks[str(unit.block)])
            ends[SUB_LAYERS.index(unit.name)].last.bias.normal_()
    student = cut(teacher, *dropped)
    assert distance(student, teacher) > 0.01
    repair_model(student, teacher, clips(60), RepairConfig(layers=layers, ridge=(1e-9,)))
    assert distance(student, teacher) < 1e-5


def test_a_repair_of_sub_layers_helps_more_than_none(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    errors = []
    for layers in ("none", "gap", "all"):
        student = cut(teacher, A(1), M(2), A(3))
        table = repair_model(student, teacher, clips(100), RepairConfig(layers=layers))
        errors.append(distance(student, teacher))
        assert (table["after"] <= table["before"]).all()
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.9 * errors[0]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_repair_that_was_cut_ends_with_the_same_bits(
    tmp_path: Path, make_detector: MakeDetector, stop: int
) -> None:
    teacher = make_detector()

    def repair(scratch: Scratch | None) -> Repaired:
        student = cut(teacher, M(1), A(3))
        table = repair_model(student, teacher, clips(40), ALL, scratch)
        return student.state_dict(), table

    expected, rows = repair(None)
    place = scratch_for(tmp_path, cut(teacher, M(1), A(3)), {})
    found, again = repaired_in_two(lambda: repair(place), stop)
    pd.testing.assert_frame_equal(again, rows, check_exact=True)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_lora_goes_to_what_is_left(make_detector: MakeDetector, batch: Batch) -> None:
    model = make_detector(kept=(0, 1))
    settings = LoraSettings(rank=2, targets=("attn.qkv", "attn.proj"))
    model.backbone.drop(A(0))
    add_lora(model, settings, seed=0)
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert {name.split(".")[2] for name in adapted} == {"1"}
    merge_lora(model)
    model.backbone.drop(A(1))
    add_lora(model, settings, seed=0)
    assert not any("lora" in name for name, _ in model.named_parameters())
    merge_lora(model)
    assert model(batch.frames, batch.mask).logits.isfinite().all()


def test_what_cannot_be_dropped_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = make_backbone(*KINDS[0], (0, M(1)))
    check_units(backbone, CompressConfig(n_drops=2, unit="sublayer"))
    with pytest.raises(UnitError, match=r"n_drops \(1\) must leave at least one of the 1 units"):
        check_units(backbone, CompressConfig(n_drops=1, unit="attention"))
    check_units(backbone, CompressConfig(n_drops=1, unit="mlp", candidates=("1.mlp",)))
    absent = CompressConfig(n_drops=1, unit="attention", candidates=("0.attention", "1.attention"))
    with pytest.raises(UnitError, match=r"names 1\.attention, but the model has 0\.attention to"):
        check_units(backbone, absent)
    monkeypatch.setattr(type(backbone), "sub_layers", {})
    with pytest.raises(UnitError, match=r"kind 'videomae' are dropped whole"):
        check_units(backbone, CompressConfig(n_drops=1, unit="mlp"))
    with pytest.raises(ValueError, match=r"has no sub-layer 1\.mlp"):
        make_backbone(*KINDS[0], (0, M(1)))


def test_by_its_gap_error_only_what_the_model_begins_with_is_never_dropped() -> None:
    """Before the first MLP there is an attention, unless that is gone."""
    config, crop = KINDS[0]

    def check(unit: str, candidates: str, kept: Sequence[Unit] = range(3)) -> None:
        given = {"unit": unit, "candidates": candidates, "n_drops": 2}
        gap = {"criterion": "gap_error", "repair": "all"}
        check_units(make_backbone(config, crop, kept), CompressConfig.model_validate(given | gap))

    check("mlp", "0.mlp 1.mlp")
    check("sublayer", "0.mlp 1.mlp")
    for unit, candidates in (
        ("block", "0 1"),
        ("attention", "0.attention 1.attention"),
        ("sublayer", "0.attention 0.mlp"),
    ):
        first = candidates.split()[0]
        with pytest.raises(UnitError, match=rf"never drops the first unit, {first}: name one"):
            check(unit, candidates)
    with pytest.raises(UnitError, match=r"never drops the first unit, 0\.mlp"):
        check("mlp", "0.mlp 1.mlp", kept=(M(0), 1, 2))


def test_states_of_what_is_left_have_their_places(
    make_detector: MakeDetector, batch: Batch
) -> None:
    """States of blocks by original index, whatever is left of a block."""
    model = cut(make_detector(kept=(0, 1, 2)), A(1), M(2))
    with torch.inference_mode():
        found = model(batch.frames, batch.mask, outs=(0, 1, 2), mids=(0, 1, 2))
    assert torch.equal(found.mids[1], found.blocks[0])
    assert torch.equal(found.mids[2], found.blocks[2])


def units(branches: Sequence[SubLayer]) -> list[Unit]:
    """What is kept, if these sub-layers of three blocks are."""
    kept: Sequence[Unit] = range(3)
    for branch in sub_layers(range(3)):
        if branch not in branches:
            kept = without_unit(kept, branch)
    return list(kept)


@pytest.mark.parametrize("full", [(0, 1, 2), (0, M(1), 2), (A(0), 1, A(2))])
def test_what_follows_is_led_to_what_it_expects(full: Sequence[Unit]) -> None:
    """Counted in branches: those of the full model that come before the next kept one."""
    every = sub_layers(full)

    def passed(state: State) -> int:
        """How many branches of the full model lie before a state."""
        return sum(
            branch.block < state.block
            or (branch.block == state.block and not (state.middle and branch.name == "mlp"))
            for branch in every
        )

    for count in range(1, len(every) + 1):
        for branches in combinations(every, count):
            states = expected_states(units(branches), full)
            for branch, following in pairwise([*branches, None]):
                middle, end = states[branch.block]
                wanted = len(every) if following is None else every.index(following)
                assert passed(middle if branch.name == "attention" else end) == wanted
                if branch.other not in branches and branch.name == "attention":
                    assert middle == end  # one and the same state of the shorter model
    assert expected_states([0, 1, 2], range(3)) == own_states([0, 1, 2])
