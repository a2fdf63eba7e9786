"""Focal and DIoU losses against independent ones, and the normaliser."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import sigmoid_focal_loss

from tad_blockdrop.config import AnchorFreeConfig
from tad_blockdrop.detections.losses import DetectionLoss, diou_loss, focal_loss
from tad_blockdrop.detections.targets import assign
from tad_blockdrop.detector.heads.contract import decode, make_points
from tad_blockdrop.detector.model import DetectorOutput

CONFIG = AnchorFreeConfig(
    ranges=((0, 4), (4, 8), (8, 10000)), regression_weight=2, label_smoothing=0.1
)


class Target(NamedTuple):
    """What the loss takes of a batch."""

    segments: list[Tensor]
    labels: list[Tensor]


TARGET = Target(
    [torch.tensor([[3.0, 8.0], [10.0, 27.0]]), torch.zeros(0, 2)],
    [torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64)],
)


def some_output() -> DetectorOutput:
    generator = torch.Generator().manual_seed(0)
    points = make_points(32, CONFIG.ranges)
    n = len(points.location)
    return DetectorOutput(
        logits=torch.randn(2, n, 3, generator=generator).requires_grad_(),
        offsets=torch.rand(2, n, 2, generator=generator).mul(4).requires_grad_(),
        mask=torch.rand(2, n, generator=generator) < 0.8,
        points=points,
        features=torch.zeros(2, 4, 32),
    )


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 1.5)])
def test_focal_loss_is_torchvisions(alpha: float, gamma: float) -> None:
    logits = 5 * torch.randn(40, 6)
    for target in (torch.randint(0, 2, (40, 6)).float(), torch.rand(40, 6)):
        torch.testing.assert_close(
            focal_loss(logits, target, alpha, gamma),
            sigmoid_focal_loss(logits, target, alpha, gamma),
        )


coordinate = st.floats(-100, 100, width=32)
segment = st.tuples(coordinate, coordinate).map(sorted).filter(lambda s: s[1] - s[0] > 0.01)


@given(st.lists(st.tuples(segment, segment), min_size=1, max_size=8))
def test_diou_equals_scalar_arithmetic(pairs: list[tuple[list[float], list[float]]]) -> None:
    found = diou_loss(torch.tensor([a for a, _ in pairs]), torch.tensor([b for _, b in pairs]))
    for value, ((s, e), (ts, te)) in zip(found.tolist(), pairs, strict=True):
        inner = max(0.0, min(e, te) - max(s, ts))
        iou = inner / ((e - s) + (te - ts) - inner)
        distance = ((s + e) / 2 - (ts + te) / 2) / (max(e, te) - min(s, ts))
        assert value == pytest.approx(1 - iou + distance**2, abs=1e-3)


def test_diou_of_empty_segments_is_finite_with_finite_gradients() -> None:
    segments = torch.tensor([[3.0, 3.0], [3.0, 3.0], [1.0, 1.0]], requires_grad=True)
    targets = torch.tensor([[3.0, 3.0], [2.0, 4.0], [2.0, 2.0]])
    loss = diou_loss(segments, targets)
    assert loss.tolist() == pytest.approx([1.0, 1.0, 2.0])
    loss.sum().backward()
    assert segments.grad is not None
    assert segments.grad.isfinite().all()


def expected_sums(output: DetectorOutput) -> tuple[Tensor, Tensor, int]:
    """Both loss sums, undivided, point by point, and the number of positives."""
    padded = (pad_sequence(list(own), batch_first=True) for own in TARGET)
    targets = assign(output.points, *padded, 3, CONFIG)
    focal, diou, positives = torch.zeros(()), torch.zeros(()), 0
    for b, p in output.mask.nonzero().tolist():
        smooth = targets.cls[b, p] * 0.9 + 0.1 / 4
        focal = focal + sigmoid_focal_loss(output.logits[b, p], smooth, reduction="sum")
        if targets.cls[b, p].any():
            found = decode(output.points, output.offsets)[b, p]
            wanted = decode(output.points, targets.offsets)[b, p]
            diou = diou + diou_loss(found, wanted)
            positives += 1
    return focal, diou, positives


def test_evaluation_divides_by_the_positives_and_leaves_the_average_alone() -> None:
    loss, output = DetectionLoss(CONFIG), some_output()
    terms = loss(output, TARGET, training=False)
    focal, diou, positives = expected_sums(output)
    assert positives > 2
    torch.testing.assert_close(terms.terms["cls"], focal / positives)
    torch.testing.assert_close(terms.terms["reg"], 2 * diou / positives)
    assert int(terms.positive.sum()) == int(terms.count) == positives
    assert loss.normaliser.item() == CONFIG.loss_normaliser


def test_training_divides_by_the_moving_average() -> None:
    loss, output = DetectionLoss(CONFIG), some_output()
    focal, diou, positives = expected_sums(output)
    average = CONFIG.loss_normaliser
    for _ in range(3):
        average = 0.9 * average + 0.1 * positives
        terms = loss(output, TARGET, training=True)
        torch.testing.assert_close(terms.terms["cls"], focal / average)
        torch.testing.assert_close(terms.terms["reg"], 2 * diou / average)
    restored = DetectionLoss(CONFIG)
    restored.load_state_dict(loss.state_dict())
    assert restored.normaliser.item() == pytest.approx(average)


def test_gradients_reach_valid_points_only_and_two_steps_can_be_accumulated() -> None:
    loss, output = DetectionLoss(CONFIG), some_output()
    first = loss(output, TARGET, training=True)
    second = loss(output, TARGET, training=True)
    (first.terms["cls"] + first.terms["reg"] + second.terms["cls"] + second.terms["reg"]).backward()
    assert output.logits.grad is not None
    assert output.offsets.grad is not None
    assert ((output.logits.grad != 0).any(-1) == output.mask).all()
    assert not (output.offsets.grad[~first.positive] != 0).any()
    assert (output.offsets.grad[first.positive] != 0).any()


def test_without_ground_truth_the_regression_term_is_zero_and_differentiable() -> None:
    output = some_output()
    loss = DetectionLoss(CONFIG)
    terms = loss(output, Target(TARGET.segments[1:] * 2, TARGET.labels[1:] * 2), training=False)
    assert terms.terms["reg"].item() == 0
    (terms.terms["cls"] + terms.terms["reg"]).backward()
    assert output.offsets.grad is not None
    assert (output.offsets.grad == 0).all()


def test_half_precision_outputs_are_compared_in_full_precision() -> None:
    output = some_output()
    half = replace(output, logits=output.logits.half(), offsets=output.offsets.half())
    terms = DetectionLoss(CONFIG)(half, TARGET, training=False)
    full = DetectionLoss(CONFIG)(output, TARGET, training=False)
    assert terms.terms["cls"].dtype == torch.float32
    torch.testing.assert_close(terms.terms["cls"], full.terms["cls"], rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(terms.terms["reg"], full.terms["reg"], rtol=1e-2, atol=1e-3)
