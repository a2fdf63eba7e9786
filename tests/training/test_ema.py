"""The moving average against the formula, computed slowly."""

import math

import pytest
import torch
from torch import nn

from tad_blockdrop.training.ema import Ema


def module() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def walk(model: nn.Module, ema: Ema, steps: int) -> list[torch.Tensor]:
    """Random steps; returns the weights after each."""
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        ema.update()
        seen.append(model.weight.detach().clone())
    return seen


@pytest.mark.parametrize(
    ("decay", "total", "effective"),
    [
        (0.999, 6000, 0.999),  # as published
        (0.999, 5000, 0.999),
        (0.999, 100, 0.95),
        (0.5, 100, 0.5),
        (0.0, 100, 0.0),
        (0.999, 3, 0.0),
    ],
)
def test_formula(decay: float, total: int, effective: float) -> None:
    model = module()
    expected = model.weight.detach().double()
    ema = Ema(dict(model.named_parameters()), decay, total)
    for weight in walk(model, ema, 30):
        expected = effective * expected + (1 - effective) * weight
    torch.testing.assert_close(ema.state()["weight"].double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("total", [10, 100, 1000, 20_000])
def test_a_whole_run_forgets_its_start(total: int) -> None:
    live = {"w": nn.Parameter(torch.zeros(()))}
    ema = Ema(live, 0.999, total)
    ema.put({"w": torch.ones(())})
    for _ in range(total):
        ema.update()
    assert ema.state()["w"].item() > 1 - math.exp(-5)


def test_applied_shows_the_average_and_gives_the_weights_back() -> None:
    model = module()
    ema = Ema(dict(model.named_parameters()), 0.9, 1000)
    walk(model, ema, 3)
    before, average = model.weight.detach().clone(), ema.state()["weight"].clone()
    with ema.applied():
        assert torch.equal(model.weight, average)
    assert torch.equal(model.weight, before)
    assert torch.equal(ema.state()["weight"], average)
    assert not torch.equal(before, average)


def test_loaded_average_continues_with_the_same_bits() -> None:
    model = module()
    ema = Ema(dict(model.named_parameters()), 0.999, 1000)
    walk(model, ema, 4)
    other = Ema(dict(model.named_parameters()), 0.999, 1000)
    other.load({name: value.clone() for name, value in ema.state().items()})
    walk(model, ema, 1)
    other.update()
    assert torch.equal(other.state()["bias"], ema.state()["bias"])
