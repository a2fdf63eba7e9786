"""The terms against closed forms, brute force in float64, and what must be zero."""

import copy
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shortening import clips, without
from torch import Tensor
from torch.nn import functional

from tad_blockdrop.compression import losses
from tad_blockdrop.compression.losses import (
    AlignLoss,
    feature_loss,
    gram_distance,
    relation_loss,
)
from tad_blockdrop.compression.repair import repair_model
from tad_blockdrop.config import AlignLossConfig, RepairConfig
from tad_blockdrop.detections.task import DetectionTask, segment_loss
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.tasks.distillation import (
    bernoulli_loss,
    class_distillation,
    dkd_loss,
    dkd_warmup,
    kl_loss,
)
from tad_blockdrop.video.windows.batches import Batch

MakeDetector = Callable[..., Detector]

ALL_TERMS = ("cls", "reg", "out", "mid", "out_rel", "mid_rel", "kd_cls", "kd_reg")
DISTILLATION = ALL_TERMS[2:]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    terms = np.where(p > 0, p * (np.log(np.maximum(p, 1e-300)) - np.log(q)), 0.0)
    return float(terms.sum())


# --- features -----------------------------------------------------------------------------------


def test_feature_loss_averages_the_students_blocks_only() -> None:
    student = {0: torch.zeros(2, 3, 4), 3: torch.ones(2, 3, 4)}
    teacher = {i: torch.full((2, 3, 4), float(i)) for i in range(5)}
    assert feature_loss(student, teacher).item() == pytest.approx((0 + 4) / 2)


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-6, 10))
def test_gram_distance_is_that_of_the_gram_matrices(n: int, width: int, apart: float) -> None:
    a = normal(2, n, width, seed=1)
    b = a + apart * normal(2, n, width, seed=2)
    z_a, z_b = a.double().numpy() / n, b.double().numpy() / n
    gram = z_a @ z_a.transpose(0, 2, 1) - z_b @ z_b.transpose(0, 2, 1)
    size = np.linalg.norm(z_a - z_b) ** 2 * np.linalg.norm(z_a + z_b) ** 2
    found = gram_distance(a, b).double().numpy()
    np.testing.assert_allclose(found, (gram**2).sum((1, 2)), rtol=1e-5, atol=1e-6 * size)


def test_gram_distance_keeps_its_accuracy_close_to_the_teacher() -> None:
    """800 tokens of 384 channels, one part in 10,000 apart: differences of squares would fail."""
    a = normal(1, 800, 384, seed=1) + 3
    b = a + 1e-4 * normal(1, 800, 384, seed=2)
    z_a, z_b = a.double() / 800, b.double() / 800
    exact = (z_a @ z_a.mT - z_b @ z_b.mT).square().sum()
    assert gram_distance(a, b).item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 9, 4), (2, 4, 9)])
def test_gram_distance_has_the_gradient_of_its_definition(shape: tuple[int, ...]) -> None:
    a, b = normal(*shape, seed=1).requires_grad_(), normal(*shape, seed=2)
    gram_distance(a, b).sum().backward()
    z = (a.detach() / shape[1]).double().requires_grad_()
    w = b.double() / shape[1]
    (z @ z.mT - w @ w.mT).square().sum().backward()
    assert a.grad is not None
    assert z.grad is not None
    torch.testing.assert_close(a.grad.double(), z.grad / shape[1], rtol=1e-4, atol=1e-8)


def test_relation_loss_averages_clips_and_blocks() -> None:
    student = {1: normal(3, 6, 2, seed=1), 4: normal(3, 6, 2, seed=2)}
    teacher = {i: normal(3, 6, 2, seed=10 + i) for i in range(5)}
    each = [gram_distance(student[i], teacher[i]) for i in (1, 4)]
    expected = torch.cat(each).mean().item()
    assert relation_loss(student, teacher).item() == pytest.approx(expected)


# --- classes ------------------------------------------------------------------------------------


@given(st.floats(0.5, 10))
def test_kl_loss_is_torchs_batch_mean(temperature: float) -> None:
    student, teacher = normal(7, 5, seed=1) * 4, normal(7, 5, seed=2) * 4
    log_s = functional.log_softmax(student / temperature, 1)
    soft_t = functional.softmax(teacher / temperature, 1)
    expected = functional.kl_div(log_s, soft_t, reduction="batchmean")
    found = kl_loss(student, teacher, temperature).item()
    assert found == pytest.approx(temperature**2 * expected.item(), rel=1e-4)


def test_bernoulli_loss_by_hand() -> None:
    student, teacher = normal(6, 3, seed=1) * 3, normal(6, 3, seed=2) * 3
    p, q = (1 / (1 + np.exp(-x.double().numpy() / 2)) for x in (teacher, student))
    expected = 4 * (kl(p, q) + kl(1 - p, 1 - q)) / 6
    assert bernoulli_loss(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_bernoulli_loss_of_two_complementary_logits_is_twice_the_softmax_loss() -> None:
    """(σ(x), σ(-x)) is the softmax of (x / 2, -x / 2): one binary question, asked twice."""
    s, t = normal(9, 1, seed=1), normal(9, 1, seed=2)
    twice = bernoulli_loss(torch.cat([s, -s], 1), torch.cat([t, -t], 1), 1.0)
    once = kl_loss(torch.cat([s / 2, -s / 2], 1), torch.cat([t / 2, -t / 2], 1), 1.0)
    assert twice.item() == pytest.approx(2 * once.item(), rel=1e-5)


def test_dkd_loss_by_hand_with_points_of_one_two_and_no_classes() -> None:
    student, teacher = normal(5, 4, seed=1) * 3, normal(5, 4, seed=2) * 3
    target = torch.tensor(
        [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    ).bool()
    p, q = (softmax(x.double().numpy() / 3.5) for x in (teacher, student))
    tckd = nckd = 0.0
    for i in (0, 2, 3):
        own = target[i].numpy()
        pair_p, pair_q = (np.array([x[own].sum(), x[~own].sum()]) for x in (p[i], q[i]))
        tckd += kl(pair_p, pair_q)
        nckd += kl(p[i][~own] / pair_p[1], q[i][~own] / pair_q[1])
    expected = 3.5**2 * (1.5 * tckd + 6 * nckd) / 5
    found = dkd_loss(student, teacher, target, 3.5, alpha=1.5, beta=6.0)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@given(st.floats(0.5, 5), st.integers(2, 8))
def test_kl_decomposes_into_the_two_parts_of_dkd(temperature: float, n_classes: int) -> None:
    """KD = TCKD + (1 - p_target) · NCKD, the identity that decoupled distillation starts from."""
    student, teacher = normal(1, n_classes, seed=3) * 2, normal(1, n_classes, seed=4) * 2
    target = functional.one_hot(torch.tensor([1]), n_classes).bool()
    rest = 1 - functional.softmax(teacher / temperature, 1)[0, 1].item()
    whole = kl_loss(student, teacher, temperature).item()
    parts = dkd_loss(student, teacher, target, temperature, alpha=1.0, beta=rest).item()
    assert parts == pytest.approx(whole, rel=1e-3, abs=1e-6)


def test_dkd_survives_extreme_logits_and_points_with_every_class() -> None:
    student = torch.tensor([[300.0, -300.0], [5.0, 1.0]], requires_grad=True)
    teacher = torch.tensor([[-300.0, 300.0], [0.0, 2.0]])
    loss = dkd_loss(student, teacher, torch.tensor([[True, False], [True, True]]), 3.5, 1, 6)
    loss.backward()
    assert student.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()
    assert student.grad[1].abs().max() < 1e-6  # all mass is on targets: nothing to tell apart


def test_dkd_warms_up_linearly() -> None:
    assert [dkd_warmup(e, 5) for e in (0, 2.5, 5, 50)] == [0, 0.5, 1, 1]
    assert dkd_warmup(0, 0) == 1


# --- segments, and nothing to compare -----------------------------------------------------------


def test_segment_loss_by_hand() -> None:
    student = torch.tensor([[0.0, 4.0], [0.0, 2.0]])
    teacher = torch.tensor([[2.0, 6.0], [6.0, 10.0]])
    overlapping = 1 - 2 / 6 + (2 / 6) ** 2
    apart = 1 - 0 + (7 / 10) ** 2
    found = segment_loss(student, teacher).item()
    assert found == pytest.approx((overlapping + apart) / 2, rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: segment_loss(x[:0, :2], x[:0, :2].detach()),
        lambda x: kl_loss(x[:0], x[:0].detach(), 3.5),
        lambda x: bernoulli_loss(x[:0], x[:0].detach(), 3.5),
        lambda x: dkd_loss(x, x.detach() + 1, torch.zeros(4, 3).bool(), 3.5, 1, 6),
    ],
)
def test_nothing_to_compare_is_a_zero_with_zero_gradient(loss) -> None:  # type: ignore[no-untyped-def]
    x = normal(4, 3).requires_grad_()
    value = loss(x)
    value.backward()
    assert value.item() == 0
    assert x.grad is not None
    assert x.grad.abs().max() == 0


@pytest.mark.parametrize("n_tokens", [3, 30])
def test_a_student_like_its_teacher_has_nothing_to_learn(n_tokens: int) -> None:
    tokens = {0: normal(2, n_tokens, 8)}
    logits = normal(6, 3)
    target = functional.one_hot(torch.tensor([0, 1, 2, 0, 1, 2]), 3).bool()
    for zero in (
        feature_loss(tokens, tokens),
        relation_loss(tokens, tokens),
        kl_loss(logits, logits, 3.5),
        bernoulli_loss(logits, logits, 3.5),
        dkd_loss(logits, logits, target, 3.5, 1.0, 6.0),
    ):
        assert zero.item() == pytest.approx(0, abs=1e-6)


# --- the sum ------------------------------------------------------------------------------------


def everything(**changes: object) -> AlignLossConfig:
    return AlignLossConfig(**{**dict.fromkeys(ALL_TERMS, 1.0), **changes})  # type: ignore[arg-type]


def test_distillation_vanishes_for_the_teacher_itself(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    teacher = make_detector()
    terms = AlignLoss(everything(), task, copy.deepcopy(teacher), teacher)(batch, 0)
    assert set(terms) == {*ALL_TERMS, "total"}
    for name in DISTILLATION:
        assert terms[name].item() == pytest.approx(0, abs=1e-6), name
    assert terms["total"].item() == pytest.approx((terms["cls"] + terms["reg"]).item(), rel=1e-5)


def test_total_is_the_weighted_sum_and_reaches_every_parameter(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    weights = {name: 0.5 + i for i, name in enumerate(ALL_TERMS)}
    student = make_detector(seed=1, kept=(0, 2, 4)).requires_grad_()
    terms = AlignLoss(everything(**weights), task, student, make_detector(seed=2))(batch, 0)
    expected = sum(weights[name] * terms[name].item() for name in ALL_TERMS)
    assert terms["total"].item() == pytest.approx(expected, rel=1e-5)
    terms["total"].backward()
    untouched = [n for n, p in student.named_parameters() if p.grad is None]
    assert untouched == []


def test_features_say_what_their_frames_say(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    """All that does not compare blocks, with the gradients of neck and head."""
    student, teacher = make_detector(seed=1, kept=(0, 2, 4)), make_detector(seed=2)
    with torch.no_grad():
        mine, theirs = (m(batch.frames, batch.mask).features for m in (student, teacher))
    seen = replace(batch, features=mine, teacher_features=theirs)
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(not name.startswith("backbone."))
    found = {}
    for each in (batch, seen):
        student.zero_grad()
        terms = AlignLoss(everything(out=0, mid=0, out_rel=0, mid_rel=0), task, student, teacher)(
            each, 0
        )
        terms["total"].backward()
        gradients = {n: p.grad.clone() for n, p in student.named_parameters() if p.grad is not None}
        found[each is seen] = terms, gradients
    (terms, gradients), (their_terms, their_gradients) = found.values()
    assert set(their_terms) == set(terms) == {"cls", "reg", "kd_cls", "kd_reg", "total"}
    for name, value in terms.items():
        torch.testing.assert_close(their_terms[name], value, rtol=1e-5, atol=1e-7)
    assert gradients.keys() == their_gradients.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(their_gradients[name], value, rtol=1e-4, atol=1e-6)
    everything_on = AlignLoss(everything(), task, student, teacher)(seen, 0)
    assert set(everything_on) == set(terms)  # there are no blocks to compare
    with pytest.raises(ValueError, match="lacks those of the teacher"):
        AlignLoss(everything(), task, student, teacher)(replace(batch, features=mine), 0)


@pytest.mark.parametrize("blocks", [{2}, {1, 3}, {2, 3, 4}])
def test_the_next_block_says_what_a_repaired_one_is_held_against(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask, blocks: set[int]
) -> None:
    """Dropped blocks that add constants are put back exactly: nothing is left to align."""
    teacher = make_detector(seed=2)
    with torch.no_grad():
        for block in blocks:
            for branch in teacher.backbone.branches(teacher.backbone.blocks[str(block)]):
                branch.last.weight.zero_()
    student = without(teacher, blocks)
    repair_model(student, teacher, clips(60), RepairConfig(layers="all", ridge=(1e-9,)))
    found = {
        aim: AlignLoss(everything(aim=aim), task, student, teacher)(batch, 0)
        for aim in ("own", "next")
    }
    for name in DISTILLATION:
        assert found["next"][name].item() < 1e-6, name
    assert found["own"]["out"].item() > 1e-3


def test_without_a_hole_both_aims_are_the_same(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    student, teacher = make_detector(seed=1), make_detector(seed=2)
    own, following = (
        AlignLoss(everything(aim=aim), task, student, teacher)(batch, 0) for aim in ("own", "next")
    )
    assert own == following


def test_teacher_gets_no_gradient_and_stays_in_evaluation_mode(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    teacher = make_detector(seed=2).train()
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    student = make_detector(seed=1).train().requires_grad_()
    AlignLoss(everything(), task, student, teacher)(batch, 0)["total"].backward()
    assert not teacher.training
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())


@pytest.mark.parametrize("spare", [True, False])
def test_a_teacher_on_another_core_says_the_same(
    make_detector: MakeDetector,
    batch: Batch,
    task: DetectionTask,
    monkeypatch: pytest.MonkeyPatch,
    spare: bool,
) -> None:
    student, teacher = make_detector(seed=1, kept=(0, 2, 4)), make_detector(seed=2)
    student.requires_grad_()
    observed: list[str] = []
    handle = teacher.backbone.patch_embed.register_forward_hook(
        lambda *_: observed.append(threading.current_thread().name)
    )
    monkeypatch.setattr(losses, "core_to_spare", lambda _: spare)
    terms = AlignLoss(everything(), task, student, teacher)(batch, 0)
    handle.remove()
    assert [name.startswith("teacher") for name in observed] == [spare]
    with torch.no_grad():
        wanted = teacher(batch.frames, batch.mask, student.kept_blocks)
    found = student(batch.frames, batch.mask, student.kept_blocks)
    assert torch.equal(terms["out"], feature_loss(found.blocks, wanted.blocks))


def test_state_is_the_normaliser_alone(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    """The part that a resumed training needs; models are saved elsewhere or not at all."""
    loss = AlignLoss(everything(), task, make_detector(seed=1).train(), make_detector(seed=2))
    first = loss.state_dict()["supervised.normaliser"].item()
    loss(batch, 0)
    assert list(loss.state_dict()) == ["supervised.normaliser"]
    assert loss.state_dict()["supervised.normaliser"].item() < first
    assert list(loss.parameters()) == []


@pytest.mark.parametrize("name", ALL_TERMS)
def test_a_term_of_weight_zero_is_neither_computed_nor_added(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask, name: str
) -> None:
    student, teacher = make_detector(seed=1, kept=(0, 1, 3)), make_detector(seed=2)
    whole = AlignLoss(everything(), task, student, teacher)(batch, 0)
    less = AlignLoss(everything(**{name: 0.0}), task, student, teacher)(batch, 0)
    assert set(whole) - set(less) == {name}
    assert less["total"].item() == pytest.approx(
        whole["total"].item() - whole[name].item(), rel=1e-4
    )


def test_segments_are_compared_where_the_ground_truth_is_positive(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    """Without any action there is no such point, however much the segments differ."""
    student, teacher = make_detector(seed=1), make_detector(seed=2)
    with_actions = AlignLoss(everything(), task, student, teacher)(batch, 0)
    empty = replace(batch, segments=[batch.segments[1]] * 2, labels=[batch.labels[1]] * 2)
    without = AlignLoss(everything(), task, student, teacher)(empty, 0)
    assert with_actions["kd_reg"].item() > 0
    assert without["kd_reg"].item() == 0


def test_dkd_grows_with_the_epoch_and_ignores_label_smoothing(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask
) -> None:
    config = AlignLossConfig(kd_kind="dkd", out=0, kd_reg=0)
    student = make_detector(seed=1)
    sharp = AlignLoss(config, task, student, make_detector(seed=2))
    early, half, full = (sharp(batch, epoch) for epoch in (0, 2.5, 5))
    assert half["kd_cls"].item() == early["kd_cls"].item() > 0
    base = (early["cls"] + early["reg"]).item()
    added = [(x["total"]).item() - base for x in (early, half, full)]
    assert added == pytest.approx([0, 0.5 * full["kd_cls"].item(), full["kd_cls"].item()], rel=1e-3)

    head = student.config.head.model_copy(update={"label_smoothing": 0.1})
    smoothing = student.config.model_copy(update={"head": head})
    student = make_detector(seed=1, config=smoothing)
    smoothed = replace(task, head=head)
    smooth = AlignLoss(config, smoothed, student, make_detector(seed=2))(batch, 0)
    assert smooth["cls"].item() != early["cls"].item()
    assert smooth["kd_cls"].item() == early["kd_cls"].item()


@pytest.mark.parametrize("kind", ["kl", "dkd"])
def test_softmax_distillation_of_one_class_is_refused(
    make_detector: MakeDetector, batch: Batch, task: DetectionTask, kind: str
) -> None:
    student, teacher = make_detector(seed=1, n_classes=1), make_detector(n_classes=1)
    task = replace(task, classes=("action",))
    with pytest.raises(ValueError, match=r"set compress\.loss\.kd_kind to null"):
        AlignLoss(AlignLossConfig(kd_kind=kind), task, student, teacher)  # type: ignore[arg-type]
    one = replace(batch, labels=[x * 0 for x in batch.labels])
    loss = AlignLoss(AlignLossConfig(kd_kind="bernoulli"), task, student, teacher)
    assert loss(one, 0)["kd_cls"].item() > 0


@pytest.mark.parametrize(("n_classes", "kind"), [(1, "bernoulli"), (3, "kl")])
def test_without_a_kind_it_is_the_one_that_says_something(n_classes: int, kind: str) -> None:
    student, teacher = torch.randn(2, 5, n_classes, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(5, n_classes, dtype=torch.bool)
    found, expected = (
        class_distillation(AlignLossConfig(kd_kind=given), student, teacher, target)  # type: ignore[arg-type]
        for given in (None, kind)
    )
    assert found == expected > 0
