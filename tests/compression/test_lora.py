"""LoRA: nothing changes when it is added, and merging gives the plain detector back."""

import pytest
import torch
from shortening import without
from torch import Tensor

from tad_blockdrop.compression.lora import add_lora, merge_lora
from tad_blockdrop.config import DetectorConfig, LoraSettings, WindowConfig
from tad_blockdrop.detector.model import Detector

CONFIG = DetectorConfig.model_validate(
    {
        "backbone": {
            "width": 16, "depth": 4, "heads": 2, "patch": 8, "clip_frames": 8, "pretrain_size": 16
        },
        "pyramid": {"width": 8, "heads": 2, "stem_blocks": 1, "levels": 2},
        "head": {"tower_layers": 1, "ranges": [(0, 4), (4, 100)]},
    }
)  # fmt: skip
KEPT = (0, 2, 3)


@pytest.fixture
def model() -> Detector:
    """A detector that lost block 1, in evaluation mode."""
    torch.manual_seed(1)
    window = WindowConfig(frames=16, grid=8, crop=16, short_side=16)
    return Detector(CONFIG, 3, window, KEPT).eval()


def answer(model: Detector) -> Tensor:
    frames = torch.randint(256, (2, 16, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(frames.byte(), torch.ones(2, 8, dtype=torch.bool))
    return torch.cat((output.features.flatten(), output.logits.flatten()))


def shake(model: Detector) -> dict[str, tuple[Tensor, Tensor]]:
    """Random values in every LoRA matrix; returns (A, B) by adapted layer."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, parameter in model.named_parameters():
        for matrix in "AB":
            layer, cut, _ = name.partition(f".lora_{matrix}.")
            if cut:
                torch.nn.init.normal_(parameter, std=0.3)
                found.setdefault(layer, {})[matrix] = parameter.detach().clone()
    return {layer: (pair["A"], pair["B"]) for layer, pair in found.items()}


def test_adding_changes_no_output_and_no_plain_weight(model: Detector) -> None:
    before, plain = answer(model), model.state_dict()
    add_lora(model, LoraSettings(), seed=0)
    assert torch.equal(answer(model), before)
    after = {name.replace(".base_layer.", "."): v for name, v in model.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in plain.items())


def test_every_kept_block_is_adapted_and_nothing_else(model: Detector) -> None:
    add_lora(model, LoraSettings(), seed=0)
    layers = {f"backbone.blocks.{i}.attn.{part}" for i in KEPT for part in ("qkv", "proj")}
    assert shake(model).keys() == layers


@pytest.mark.parametrize(("rank", "expected"), [(None, 4), (3, 3)])
def test_rank(model: Detector, rank: int | None, expected: int) -> None:
    add_lora(model, LoraSettings(rank=rank), seed=0)
    for layer, (a, b) in shake(model).items():
        assert a.shape == (expected, 16)
        assert b.shape == (48 if layer.endswith("qkv") else 16, expected)


@pytest.mark.parametrize("scaling", [1.0, 0.25])
def test_merging_keeps_the_function_and_restores_the_names(model: Detector, scaling: float) -> None:
    names = list(model.state_dict())
    plain = {name: value.clone() for name, value in model.state_dict().items()}
    original = answer(model)
    add_lora(model, LoraSettings(scaling=scaling), seed=0)
    adapted = shake(model)
    expected = answer(model)
    merge_lora(model)
    assert list(model.state_dict()) == names
    assert not hasattr(model, "peft_config")
    torch.testing.assert_close(answer(model), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, original, atol=1e-3)
    for layer, (a, b) in adapted.items():
        merged = plain[f"{layer}.weight"] + scaling * b @ a
        torch.testing.assert_close(model.get_parameter(f"{layer}.weight"), merged)


def test_the_update_learns_as_a_branch_beside_the_layer_would() -> None:
    torch.manual_seed(0)
    window = WindowConfig(frames=16, grid=8, crop=16, short_side=16)
    model = Detector(CONFIG, 3, window)
    add_lora(model, LoraSettings(scaling=0.5), seed=0)
    a, b = (matrix.requires_grad_() for matrix in shake(model)["backbone.blocks.0.attn.qkv"])
    layer = model.get_submodule("backbone.blocks.0.attn.qkv")
    plain, x = layer.get_submodule("base_layer"), torch.randn(5, 7, 16, requires_grad=True)
    expected = plain(x) + 0.5 * (x @ a.T @ b.T)
    torch.testing.assert_close(layer(x), expected)
    pull = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (x, a, b), pull)
    trained = [layer.get_parameter(f"lora_{matrix}.default.weight") for matrix in "AB"]
    torch.testing.assert_close(torch.autograd.grad(layer(x), (x, *trained), pull), wanted)


def test_merging_twice_or_without_lora_changes_nothing(model: Detector) -> None:
    plain = answer(model)
    merge_lora(model)
    assert torch.equal(answer(model), plain)
    add_lora(model, LoraSettings(), seed=0)
    shake(model)
    merge_lora(model)
    once = answer(model)
    merge_lora(model)
    assert torch.equal(answer(model), once)


def test_a_merged_model_takes_fresh_lora(model: Detector) -> None:
    for seed in (0, 1):
        add_lora(model, LoraSettings(), seed=seed)
        shake(model)
        merge_lora(model)
    model = without(model, {2})
    add_lora(model, LoraSettings(), seed=2)
    assert len(shake(model)) == 4


def test_adding_twice_is_refused(model: Detector) -> None:
    add_lora(model, LoraSettings(), seed=0)
    with pytest.raises(ValueError, match="merge_lora"):
        add_lora(model, LoraSettings(), seed=0)


def test_start_depends_on_the_seed_alone(model: Detector) -> None:
    starts = []
    for noise, seed in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(noise)
        expected = torch.rand(1)
        torch.manual_seed(noise)
        add_lora(model, LoraSettings(), seed=seed)
        assert torch.equal(torch.rand(1), expected)  # the caller's random numbers are untouched
        starts.append(model.state_dict()["backbone.blocks.3.attn.qkv.lora_A.default.weight"])
        merge_lora(model)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])
