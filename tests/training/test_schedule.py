"""The schedule against hand-computed values and PyTorch's own cosine."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.training.schedule import FLOOR, warmup_cosine

# 7 steps an epoch: 5 epochs of warm-up, a cosine to the end of epoch 65.
TOTAL, WARMUP, PEAK = 455, 35, 1e-4


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (17, PEAK / 2),
        (34, PEAK),
        (35, PEAK),
        (35 + 210, (PEAK + FLOOR) / 2),
        (455, FLOOR),
    ],
)
def test_known_values(step: int, rate: float) -> None:
    assert warmup_cosine(step, TOTAL, WARMUP, PEAK) == pytest.approx(rate, rel=1e-12)


def test_cosine_part_is_that_of_pytorch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - WARMUP, FLOOR)
    for step in range(WARMUP, TOTAL):
        expected = optimizer.param_groups[0]["lr"]
        assert warmup_cosine(step, TOTAL, WARMUP, PEAK) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        cosine.step()


@pytest.mark.parametrize("warmup", [0, 0.5, 1])
def test_without_warm_up_the_first_step_has_the_full_rate(warmup: float) -> None:
    assert warmup_cosine(0, 10, warmup, PEAK) == PEAK


@given(
    total=st.floats(2, 500), share=st.floats(0, 0.9), peak=st.floats(1e-6, 1), step=st.integers(0)
)
def test_between_zero_and_peak_rising_then_falling(
    total: float, share: float, peak: float, step: int
) -> None:
    warmup = share * total
    now, after = (warmup_cosine(s, total, warmup, peak) for s in (step, step + 1))
    assert 0 <= now <= peak * (1 + 1e-12)
    if step + 1 < warmup:
        assert after >= now
    if step >= warmup:
        assert after <= now
