"""Hidden channels of dropped MLPs, taken by the MLP before them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from shortening import clips, without
from torch import Tensor, nn

from tad_blockdrop.compression.exchange import Exchange, choose_channels, put_in, strongest
from tad_blockdrop.compression.least_squares import NormalEquations
from tad_blockdrop.compression.refitting import last_layer
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
    given, errors = clips(100), {}
    for config in (ALONE, TAKING):
        student = without(teacher, {2})
        table = repair_model(student, teacher, given, config)
        with torch.no_grad():
            errors[config.donors] = feature_error(student.eval(), teacher.eval(), given)
    assert errors[0] > 0.01
    assert errors[2] < 1e-4
    assert table["taken"].iloc[0] == ends[1][1].last.in_features


def test_an_exchange_is_no_worse_for_clips_that_judge(make_detector: MakeDetector) -> None:
    teacher = make_detector()
    found = {}
    for config in (ALONE, TAKING):
        student = without(teacher, {2, 3})
        found[config.donors] = repair_model(student, teacher, clips(100), config)
    assert found[2]["after"].iloc[0] < found[0]["after"].iloc[0]
    assert found[2]["taken"].tolist()[0] > 0
    assert not found[2]["taken"].iloc[1:].any()  # nothing is dropped behind the last block
    assert found[2]["before"].iloc[0] == pytest.approx(found[0]["before"].iloc[0])


def test_a_dropped_attention_offers_no_channels(make_detector: MakeDetector) -> None:
    from tad_blockdrop.detector.units import SubLayer

    teacher = make_detector()
    student = Detector(teacher.config, teacher.n_classes, teacher.window, teacher.kept_blocks)
    student.load_state_dict(teacher.state_dict())
    student.backbone.drop(SubLayer(2, "attention"))
    table = repair_model(student, teacher, clips(40), TAKING)
    assert not table["taken"].any()


KINDS: list[tuple[BackboneConfig, int, bool]] = [
    (VideoMAEConfig(width=24, depth=2, heads=2, patch=8, pretrain_size=16), 16, True),
    (TimmConfig(model="test_vit"), 64, True),
    (TimmConfig(model="vit_tiny_patch16_224"), 32, True),
    (TimmConfig(model="vit_small_patch14_dinov2"), 28, True),
    (TimmConfig(model="eva02_tiny_patch14_224"), 28, True),
    (TimmConfig(model="eva02_base_patch14_224"), 28, False),  # a norm joins the channels
    (VJEPA2Config(width=24, depth=2, heads=2, patch=8, clip_frames=4), 16, True),
]


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


@pytest.mark.parametrize(("config", "crop", "has_some"), KINDS)
def test_channels_may_be_written_in_any_order(
    config: BackboneConfig, crop: int, has_some: bool
) -> None:
    """Norms and scales are folded in: what a block gives stays the same."""
    if isinstance(config, VJEPA2Config):
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = make_backbone(config, crop, range(2)).eval()
    block: Any = backbone.blocks["0"]
    with torch.inference_mode():
        _given_norms(backbone)
        hidden, end = backbone.hidden(block), backbone.branches(block)[1]
        assert (hidden is not None) == has_some
        if hidden is None:
            return
        tokens = torch.randn(2, config.geometry.tokens(crop), config.geometry.width)
        expected = backbone.run_block(0, tokens)
        weights = last_layer(end)
        order = torch.randperm(len(weights) - 1)
        rows = torch.cat([order, torch.tensor([len(order)])])
        put_in(end, [hidden], Exchange(order, weights[rows], 0.0, 1.0))
        for after, before in zip(backbone.run_block(0, tokens), expected, strict=True):
            torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("config", "crop"), [kind[:2] for kind in KINDS if kind[2]])
def test_channels_of_another_block_are_what_they_were_there(
    config: BackboneConfig, crop: int
) -> None:
    """Fed with the same tokens, the MLP of block 0 gives what that of block 1 did."""
    if isinstance(config, VJEPA2Config):
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = make_backbone(config, crop, range(2)).eval()
    with torch.inference_mode():
        _given_norms(backbone)
        tokens = torch.randn(2, config.geometry.tokens(crop), config.geometry.width)
        expected = backbone.run_block(1, tokens, without=["attention"])[1]
        ends = [backbone.branches(backbone.blocks[i])[1] for i in "01"]
        hidden = [backbone.hidden(backbone.blocks[i]) for i in "01"]
        weights = last_layer(ends[1])
        n = len(weights) - 1
        taken = Exchange(torch.arange(n, 2 * n), weights, 0.0, 1.0)
        put_in(ends[0], [each for each in hidden if each], taken)
        found = backbone.run_block(0, tokens, without=["attention"])[1]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
