"""Features on the grid, against what PyTorch computes without deterministic gradients on CUDA."""

import pytest
import torch
from torch.nn import functional

from tad_blockdrop.detector.backbones.contract import on_grid


@pytest.mark.parametrize(("steps", "grid"), [(64, 16), (64, 64), (64, 32), (12, 8), (10, 3)])
def test_a_coarser_grid_averages(steps: int, grid: int) -> None:
    both = _twice(torch.randn(2, steps, 5))
    found = on_grid(both[0].reshape(4, steps // 2, 5), 2, grid)
    expected = functional.adaptive_avg_pool1d(both[1].transpose(1, 2), grid)
    _alike(found, expected, both)


@pytest.mark.parametrize(("steps", "grid"), [(8, 16), (8, 24), (10, 16)])
def test_a_finer_grid_interpolates_linearly(steps: int, grid: int) -> None:
    both = _twice(torch.randn(2, steps, 5))
    found = on_grid(both[0].reshape(4, steps // 2, 5), 2, grid)
    series = both[1].transpose(1, 2)
    expected = functional.interpolate(series, size=grid, mode="linear", align_corners=False)
    _alike(found, expected, both)


def _twice(values: torch.Tensor) -> list[torch.Tensor]:
    return [values.clone().requires_grad_() for _ in range(2)]


def _alike(found: torch.Tensor, expected: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """The values, and the gradients of a weighted sum of them."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    weights = torch.randn(found.shape)
    for output in (found, expected):
        (output * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-6, atol=1e-6)
