"""Target assignment against loops over points and segments."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tad_blockdrop.config import AnchorFreeConfig
from tad_blockdrop.detections.targets import assign
from tad_blockdrop.detector.heads.contract import make_points

CONFIG = AnchorFreeConfig(ranges=((0, 4), (4, 8), (8, 10000)))
GRID, N_CLASSES = 32, 4
POINTS = make_points(GRID, CONFIG.ranges)

# eighths are exact in binary, so that the loops meet the same ties as the tensors
eighths = st.integers(0, 8 * GRID).map(lambda n: n / 8)
segment = st.tuples(eighths, eighths).map(sorted).filter(lambda s: s[0] < s[1])
annotations = st.lists(st.tuples(segment, st.integers(0, N_CLASSES - 1)), max_size=6)


def tensors(drawn: list[tuple[list[float], int]]) -> tuple[Tensor, Tensor]:
    segments = torch.tensor([s for s, _ in drawn], dtype=torch.float32).reshape(-1, 2)
    return segments, torch.tensor([label for _, label in drawn], dtype=torch.int64)


@given(annotations)
@settings(max_examples=60)
def test_equals_loops(drawn: list[tuple[list[float], int]]) -> None:
    targets = assign(POINTS, *tensors(drawn), N_CLASSES, CONFIG)
    for p in range(len(POINTS.location)):
        t, stride, low, high = (
            float(getattr(POINTS, name)[p]) for name in ("location", "stride", "low", "high")
        )
        claims = []
        for (start, end), label in drawn:
            inside = start < t < end and abs(t - (start + end) / 2) < 1.5 * stride
            if inside and low <= max(t - start, end - t) <= high:
                claims.append((end - start, start, end, label))
        assert bool(targets.positive[p]) == bool(claims)
        shortest = min((claim[0] for claim in claims), default=0.0)
        winners = [claim for claim in claims if claim[0] <= shortest + 1e-3]
        expected = [float(any(w[3] == k for w in winners)) for k in range(N_CLASSES)]
        assert targets.cls[p].tolist() == expected
        candidates = [[(t - w[1]) / stride, (w[2] - t) / stride] for w in winners] or [[0.0, 0.0]]
        assert targets.offsets[p].tolist() in candidates


def test_both_ends_of_a_range_are_inclusive() -> None:
    """A segment of 8 steps around a point: distance 4 belongs to the first two levels."""
    targets = assign(POINTS, torch.tensor([[4.0, 12.0]]), torch.tensor([2]), N_CLASSES, CONFIG)
    found = {
        (location, stride)
        for location, stride, positive in zip(
            POINTS.location.tolist(), POINTS.stride.tolist(), targets.positive, strict=True
        )
        if positive
    }
    assert (8.0, 1.0) in found
    assert (8.0, 2.0) in found
    assert (8.0, 4.0) not in found


def test_segments_of_nearly_the_same_length_share_a_point() -> None:
    segments = torch.tensor([[4.0, 9.0], [4.0, 9.0005], [4.0, 9.1]])
    targets = assign(POINTS, segments, torch.tensor([0, 1, 2]), N_CLASSES, CONFIG)
    at_six = targets.cls[6]
    assert at_six.tolist() == [1, 1, 0, 0]
    assert targets.offsets[6].tolist() == [2, 3]


def test_a_batch_stacks_windows_and_accepts_empty_ones() -> None:
    segments, labels = torch.tensor([[4.0, 9.0]]), torch.tensor([3])
    padded = torch.stack([segments, torch.zeros(1, 2)]), torch.tensor([[3], [0]])
    batch = assign(POINTS, *padded, N_CLASSES, CONFIG)
    alone = assign(POINTS, segments, labels, N_CLASSES, CONFIG)
    assert torch.equal(batch.cls[0], alone.cls)
    assert torch.equal(batch.offsets[0], alone.offsets)
    assert batch.positive.sum(dim=1).tolist() == [int(alone.positive.sum()), 0]
    assert batch.cls[1].sum() == 0
    assert batch.offsets.shape == (2, len(POINTS.location), 2)
