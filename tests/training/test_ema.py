"""The moving average against the formula, computed slowly."""

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
                parameter += torch.randn_like(parameter)
        ema.update()
        seen.append(model.weight.detach().clone())
    return seen


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_formula(decay: float) -> None:
    model = module()
    expected = model.weight.detach().double()
    ema = Ema(dict(model.named_parameters()), decay)
    for n, weight in enumerate(walk(model, ema, 30)):
        d = min(decay, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * weight
    torch.testing.assert_close(ema.state()["weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_published_decay_rules_long_runs() -> None:
    ema = Ema({"w": nn.Parameter(torch.zeros(1))}, 0.999)
    ema.updates = 9000
    (parameter,) = ema._live
    parameter.fill_(1.0)
    ema.update()
    assert ema.state()["w"].item() == pytest.approx(0.001, rel=1e-3)


def test_applied_shows_the_average_and_gives_the_weights_back() -> None:
    model = module()
    ema = Ema(dict(model.named_parameters()), 0.9)
    walk(model, ema, 3)
    before, average = model.weight.detach().clone(), ema.state()["weight"].clone()
    with pytest.raises(RuntimeError, match="inside"), ema.applied():
        assert torch.equal(model.weight, average)
        raise RuntimeError("inside")
    assert torch.equal(model.weight, before)
    assert torch.equal(ema.state()["weight"], average)
    assert not torch.equal(before, average)


def test_loaded_average_continues_with_the_same_bits() -> None:
    model = module()
    ema = Ema(dict(model.named_parameters()), 0.999)
    walk(model, ema, 4)
    other = Ema(dict(model.named_parameters()), 0.999)
    other.load({name: value.clone() for name, value in ema.state().items()}, ema.updates)
    walk(model, ema, 1)
    other.update()
    assert torch.equal(other.state()["bias"], ema.state()["bias"])
