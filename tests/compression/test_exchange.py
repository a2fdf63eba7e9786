"""Heads and hidden channels of dropped blocks, taken by the block before them."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest
import torch
from shortening import clips, without
from torch import Tensor, nn

from tad_blockdrop.compression.exchange import (
    Exchange,
    choose_channels,
    donors_for,
    put_in,
    strongest,
)
from tad_blockdrop.compression.least_squares import NormalEquations
from tad_blockdrop.compression.refitting import Walk, last_layer
from tad_blockdrop.compression.repair import feature_error, repair_model
from tad_blockdrop.config import (
    BackboneConfig,
    RepairConfig,
    TimmConfig,
    VideoMAEConfig,
    VJEPA2Config,
)
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.units import SUB_LAYERS, SubLayer, SubLayerName

MakeDetector = Callable[..., Detector]
ALONE, TAKING = (RepairConfig(layers="all", donors=number) for number in (0, 2))


def system(unknowns: int, outputs: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Of least squares on mixed inputs, with the intercept as the last unknown."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, unknowns, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(unknowns, unknowns, generator=generator, dtype=torch.float64)
    x = torch.cat([x, torch.ones(200, 1)], dim=1)
    y = torch.randn(200, outputs, generator=generator, dtype=torch.float64)
    return x.T @ x + torch.eye(unknowns + 1), x.T @ y


def objective(matrix: Tensor, right: Tensor, rows: list[int]) -> float:
    """The least value of ½wᵀAw − wᵀb with these unknowns alone."""
    solved = torch.linalg.solve(matrix[rows][:, rows], right[rows])
    return -float((solved * right[rows]).sum()) / 2


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_unknown_goes_first(seed: int) -> None:
    """Against trying them all, one after the other."""
    matrix, right = system(10, 3, seed)
    there = list(range(10))
    while len(there) > 4:
        without_one = {j: [i for i in there if i != j] for j in there}
        there = min(without_one.values(), key=lambda rows: objective(matrix, right, [*rows, 10]))
    assert strongest(matrix, right, 4).tolist() == there


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_group_goes_first(seed: int) -> None:
    """Against trying them all, one after the other: 6 heads of 3 channels."""
    matrix, right = system(18, 4, seed)
    members = {head: list(range(3 * head, 3 * head + 3)) for head in range(6)}
    there = list(members)
    while len(there) > 2:
        rows = {h: [row for i in there if i != h for row in members[i]] for h in there}
        gone = min(there, key=lambda head: objective(matrix, right, [*rows[head], 18]))
        there.remove(gone)
    expected = [row for head in there for row in members[head]]
    assert strongest(matrix, right, 6, group=3).tolist() == expected


def test_many_at_a_time_do_nearly_as_well() -> None:
    matrix, right = system(60, 3)
    kept = strongest(matrix, right, 30).tolist()
    assert len(set(kept)) == 30
    chance = torch.Generator().manual_seed(0)
    others = [torch.randperm(60, generator=chance)[:30].tolist() for _ in range(50)]
    best = min(objective(matrix, right, [*rows, 60]) for rows in others)
    assert objective(matrix, right, [*kept, 60]) < best


def test_of_two_that_are_alike_one_stays() -> None:
    """Either is free to go, but not both."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 8, generator=generator, dtype=torch.float64)
    x[:, 7] = x[:, 0]
    fit = NormalEquations(8, 1, torch.device("cpu"))
    fit.add(x, 5 * x[:, :1] + 0.1 * x[:, 1:4].sum(1, keepdim=True))
    matrix = fit.gram + 1e-6 * torch.eye(9)
    kept = strongest(matrix, fit.cross, 4).tolist()
    assert len({0, 7} & set(kept)) == 1
    assert set(kept) - {0, 7} == {1, 2, 3}


def test_nothing_is_chosen_from_what_cannot_be_solved() -> None:
    empty = NormalEquations(6, 2, torch.device("cpu"))
    assert choose_channels(empty, empty, torch.zeros(4, 2), torch.zeros(4, 2), [1e-2]) is None


@pytest.mark.parametrize("which", [0, 1])  # the sums to fit on, those that judge
@pytest.mark.parametrize("place", [0, 1])  # gram, cross
def test_nothing_is_chosen_by_sums_that_are_not_finite(which: int, place: int) -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both = [NormalEquations(6, 2, torch.device("cpu")) for _ in range(2)]
    for sums in both:
        sums.add(x, x[:, :2])
    own, offered = torch.zeros(4, 2).double(), torch.zeros(4, 2).double()
    assert choose_channels(*both, own, offered, [1e-2]) is not None
    both[which].sums[place][0, 0] = torch.nan
    assert choose_channels(*both, own, offered, [1e-2]) is None


def _taken_without_2(teacher: Detector) -> pd.Series:
    """By block and branch, what is taken where an exchange makes up for block 2, and it alone."""
    given, errors = clips(100), {}
    for config in (ALONE, TAKING):
        student = without(teacher, {2})
        table = repair_model(student, teacher, given, config)
        with torch.no_grad():
            errors[config.donors] = feature_error(student.eval(), teacher.eval(), given)
    assert errors[0] > 0.01
    assert errors[2] < 1e-4
    return table.set_index(["block", "branch"])["taken"]


def test_a_dropped_mlp_is_put_back_exactly(make_detector: MakeDetector) -> None:
    """What block 1 gave does nothing, and the attention of block 2: the MLP of 2 moves into 1."""
    teacher = make_detector()
    ends = {i: teacher.backbone.branches(teacher.backbone.blocks[str(i)]) for i in (1, 2)}
    with torch.no_grad():
        for last in (ends[1][1].last, ends[2][0].last):
            last.weight.zero_()
            last.bias.zero_()
        for parameter in teacher.backbone.blocks["2"].norm2.parameters():
            parameter.uniform_(0.5, 1.5)
    assert _taken_without_2(teacher)[1, 1] == ends[1][1].last.in_features


def test_a_dropped_attention_is_put_back_exactly(make_detector: MakeDetector) -> None:
    """What block 1's attention and both MLPs give does nothing: the heads of 2 move into 1."""
    teacher = make_detector()
    ends = {i: teacher.backbone.branches(teacher.backbone.blocks[str(i)]) for i in (1, 2)}
    with torch.no_grad():
        for last in (ends[1][0].last, ends[1][1].last, ends[2][1].last):
            last.weight.zero_()
            last.bias.zero_()
        ends[2][0].last.weight.mul_(10)
        for parameter in teacher.backbone.blocks["2"].norm1.parameters():
            parameter.uniform_(0.5, 1.5)
    assert _taken_without_2(teacher)[1, 0] == ends[1][0].last.in_features


def test_an_exchange_is_no_worse_for_clips_that_judge(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    found = {}
    for config in (ALONE, TAKING):
        student = without(teacher, {2, 3})
        found[config.donors] = repair_model(student, teacher, clips(100), config)
    before_hole = found[2][found[2]["block"] == 1].set_index("branch")
    assert before_hole["after"][1] < found[0]["after"].iloc[0]
    assert before_hole["taken"][1] > 0
    # Nothing is dropped behind the last block.
    assert not found[2]["taken"][found[2]["block"] > 1].any()


@pytest.mark.parametrize("name", SUB_LAYERS)
def test_a_dropped_branch_offers_to_its_like_alone(
    make_detector: MakeDetector, name: SubLayerName
) -> None:
    teacher = make_detector()
    student = Detector(teacher.config, teacher.n_classes, teacher.window, teacher.kept_blocks)
    student.load_state_dict(teacher.state_dict())
    student.backbone.drop(SubLayer(2, name))
    # An MLP is followed by an attention, which is no MLP's and leads to none.
    block = {"attention": 1, "mlp": 2}[name]
    walk = Walk(student, teacher, clips(10), TAKING)
    found = {(i, b): donors_for(walk, i, b, 2) for i in teacher.kept_blocks for b in (0, 1)}
    assert {place for place, donors in found.items() if donors} == (
        {(block, 0)} if name == "attention" else set()
    )
    repair_model(student, teacher, clips(40), TAKING)


# Which of the two branches has parts that may be exchanged.
KINDS: list[tuple[BackboneConfig, int, Sequence[SubLayerName]]] = [
    (VideoMAEConfig(width=24, depth=2, heads=2, patch=8, pretrain_size=16), 16, SUB_LAYERS),
    (TimmConfig(model="test_vit"), 64, SUB_LAYERS),
    (TimmConfig(model="vit_tiny_patch16_224"), 32, SUB_LAYERS),
    (TimmConfig(model="vit_small_patch14_dinov2"), 28, SUB_LAYERS),
    (TimmConfig(model="eva02_tiny_patch14_224"), 28, ["mlp"]),  # the bias of its heads is apart
    (TimmConfig(model="eva02_base_patch14_224"), 28, []),  # a norm joins the channels
    (VJEPA2Config(width=24, depth=2, heads=2, patch=8, clip_frames=4), 16, SUB_LAYERS),
]
BRANCHES = [(*kind, name) for kind in KINDS for name in SUB_LAYERS]


def _given_norms(backbone: Backbone) -> None:
    """Norms and scales that are not as they begin."""
    for module in backbone.blocks.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
    for block in backbone.blocks.values():
        for branch in backbone.branches(block):
            if branch.scale is not None:
                branch.scale.uniform_(0.5, 2.0)


@pytest.mark.parametrize(("config", "crop", "given", "name"), BRANCHES)
def test_channels_may_be_written_in_any_order(
    config: BackboneConfig, crop: int, given: Sequence[SubLayerName], name: SubLayerName
) -> None:
    """Norms and scales are folded in: what a block gives stays the same."""
    if isinstance(config, VJEPA2Config):
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = make_backbone(config, crop, range(2)).eval()
    block: Any = backbone.blocks["0"]
    with torch.inference_mode():
        _given_norms(backbone)
        hidden = backbone.hidden(block, name)
        end = backbone.branches(block)[SUB_LAYERS.index(name)]
        assert (hidden is not None) == (name in given)
        if hidden is None:
            return
        tokens = torch.randn(2, config.geometry.tokens(crop), config.geometry.width)
        expected = backbone.run_block(0, tokens)
        weights = last_layer(end)
        groups = torch.arange(len(weights) - 1).view(-1, hidden.group)
        order = groups[torch.randperm(len(groups))].flatten()
        rows = torch.cat([order, torch.tensor([len(order)])])
        put_in(end, [hidden], Exchange(order, weights[rows], 0.0, 1.0))
        for after, before in zip(backbone.run_block(0, tokens), expected, strict=True):
            torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "crop", "name"), [(*each[:2], each[3]) for each in BRANCHES if each[3] in each[2]]
)
def test_channels_of_another_block_are_what_they_were_there(
    config: BackboneConfig, crop: int, name: SubLayerName
) -> None:
    """Fed with the same tokens, the branch of block 0 gives what that of block 1 did."""
    if isinstance(config, VJEPA2Config):
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = make_backbone(config, crop, range(2)).eval()
    place = SUB_LAYERS.index(name)
    other = [SUB_LAYERS[1 - place]]
    with torch.inference_mode():
        _given_norms(backbone)
        tokens = torch.randn(2, config.geometry.tokens(crop), config.geometry.width)
        expected = backbone.run_block(1, tokens, without=other)[1]
        ends = [backbone.branches(backbone.blocks[i])[place] for i in "01"]
        hidden = [backbone.hidden(backbone.blocks[i], name) for i in "01"]
        weights = last_layer(ends[1])
        n = len(weights) - 1
        taken = Exchange(torch.arange(n, 2 * n), weights, 0.0, 1.0)
        put_in(ends[0], [each for each in hidden if each], taken)
        found = backbone.run_block(0, tokens, without=other)[1]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
