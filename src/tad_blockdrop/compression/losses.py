"""The terms of the alignment loss, as pure functions (cross-depth alignment, docs/method.md §4.3).

A student that lost blocks is compared with a teacher at three places: the features of the blocks
that are left, the class scores of the points, the segments of the points. All functions compute in
float32 whatever autocast does outside, and return a scalar that is differentiable in the student,
also when there is nothing to compare (an exact zero then, with zero gradients).

Notation: ``s`` student, ``t`` teacher, ``T`` temperature, ``K`` classes, ``V`` valid points.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import AlignLossConfig
from tad_blockdrop.detections.losses import DetectionLoss, DetectionTerms, diou_loss
from tad_blockdrop.detector.heads.anchor_free import decode
from tad_blockdrop.detector.model import Detector, DetectorOutput
from tad_blockdrop.runtime.devices import core_to_spare
from tad_blockdrop.video.windows.loading import Batch

# A logit so low that its softmax is an exact float32 zero, yet finite: -inf has NaN gradients.
_NEVER = -1e4


def feature_loss(student: Mapping[int, Tensor], teacher: Mapping[int, Tensor]) -> Tensor:
    """``mean_i mean((s_i - t_i)²)`` over the student's blocks ``i`` (original indices).

    Serves ``L_out`` (block outputs) and ``L_mid`` (after the attention residual).
    Both map a block's original index to tokens (clips, n_tokens, C); the teacher may hold more.
    """
    return _block_mean(
        [functional.mse_loss(x.float(), teacher[i].float()) for i, x in student.items()]
    )


def relation_loss(student: Mapping[int, Tensor], teacher: Mapping[int, Tensor]) -> Tensor:
    """``mean_i mean_clips ||Z_s Z_sᵀ - Z_t Z_tᵀ||²`` with ``Z = X / n_tokens`` (n_tokens, C).

    Serves ``L_out_rel`` and ``L_mid_rel``. Arguments as in :func:`feature_loss`.
    """
    return _block_mean([gram_distance(x, teacher[i]).mean() for i, x in student.items()])


def gram_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius distance of the token Gram matrices of ``a / n`` and ``b / n``.

    a, b: (clips, n, C) -> (clips,).
    With ``D = a - b`` and ``M = a + b``, ``a aᵀ - b bᵀ = (D Mᵀ + M Dᵀ) / 2``: one product instead
    of two, and unlike the difference of the Gram matrices it keeps its relative accuracy as ``a``
    approaches ``b``, which is where distillation lives. With more tokens than channels n × n is
    never formed: the squared norm is ``(<DᵀD, MᵀM> + <DᵀM, (DᵀM)ᵀ>) / 2``, all C × C.
    """
    n, width = a.shape[-2:]
    with torch.autocast(a.device.type, enabled=False):
        d, m = (a.float() - b.float()) / n, (a.float() + b.float()) / n
        if n <= width:
            product = d @ m.mT
            return (0.5 * (product + product.mT)).square().sum((-2, -1))
        across = d.mT @ m
        within = (d.mT @ d * (m.mT @ m)).sum((-2, -1))
        return 0.5 * (within + (across * across.mT).sum((-2, -1)))


def kl_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T² · KL(softmax(t / T) || softmax(s / T))``, mean over points. Logits (V, K).

    Constant zero for K = 1: use :func:`bernoulli_loss` there.
    """
    log_s = functional.log_softmax(student.float() / temperature, dim=-1)
    log_t = functional.log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * _kl_sum(log_s, log_t) / max(len(student), 1)


def bernoulli_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T² · Σ_k KL(Bernoulli(σ(t_k / T)) || Bernoulli(σ(s_k / T)))``, mean over points. (V, K).

    What distilling a sigmoid head means: each class is a yes or no of its own, also for K = 1.
    """
    s, t = student.float() / temperature, teacher.float() / temperature
    divergence = _kl_sum(functional.logsigmoid(s), functional.logsigmoid(t))
    divergence = divergence + _kl_sum(functional.logsigmoid(-s), functional.logsigmoid(-t))
    return temperature**2 * divergence / max(len(student), 1)


def dkd_loss(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float, alpha: float, beta: float
) -> Tensor:
    """Decoupled knowledge distillation: ``α · TCKD + β · NCKD`` (Zhao et al., CVPR 2022).

    student, teacher: logits (V, K). target: (V, K) bool, the classes of each point, *before* any
    label smoothing (a smoothed target is positive for every class and leaves no others).
    With ``p = softmax(logits / T)``, per point: TCKD is ``T² KL`` between the pairs (mass on the
    target classes, mass on the others), NCKD ``T² KL`` within the others, renormalised. Only
    points that have a target class count; the sums are divided by *all* points, V.
    """
    positive = target.any(-1)
    target = target[positive]
    log_s = functional.log_softmax(student[positive].float() / temperature, dim=-1)
    log_t = functional.log_softmax(teacher[positive].float() / temperature, dim=-1)
    tckd = _kl_sum(_target_or_not(log_s, target), _target_or_not(log_t, target))
    nckd = _kl_sum(_among_others(log_s, target), _among_others(log_t, target))
    return temperature**2 * (alpha * tckd + beta * nckd) / max(len(student), 1)


def segment_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean 1-D DIoU loss between segments [start, end], both (P, 2); zero for P = 0."""
    return diou_loss(student.float(), teacher.float()).sum() / max(len(student), 1)


def dkd_warmup(epoch: float, warmup: float) -> float:
    """Factor of the DKD term: ``min(epoch / warmup, 1)``; 1 without a warm-up."""
    return min(epoch / warmup, 1.0) if warmup > 0 else 1.0


class AlignLoss(nn.Module):
    """The weighted sum of the eight terms for one batch.

    The teacher sees the same (augmented) frames in evaluation mode and without gradients; only
    blocks that the student still has are compared, and only what a term with a positive weight
    needs is computed or kept. State of this module is the normaliser of the detection loss alone;
    student and teacher are neither registered nor moved with it. Where the student leaves a CPU
    core idle, the teacher runs there at the same time.

    Raises ValueError for a distillation that says nothing about a detector of one class.
    """

    def __init__(self, config: AlignLossConfig, student: Detector, teacher: Detector) -> None:
        super().__init__()
        if student.n_classes == 1 and config.kd_cls > 0 and config.kd_kind != "bernoulli":
            raise ValueError(
                f"compress.loss.kd_kind is '{config.kd_kind}', but the detector has one class: a "
                "softmax over one class is constant and the term would be zero; "
                "set compress.loss.kd_kind to 'bernoulli' (or compress.loss.kd_cls to 0)"
            )
        self.config = config
        self.detection = DetectionLoss(student.config.head)
        # In a tuple, so that their parameters are not registered here.
        self._models = student, teacher.eval().requires_grad_(False)
        self._beside = ThreadPoolExecutor(1, "teacher")

    def forward(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        """Loss of a batch on the models' device; ``epoch`` is fractional and counts from 0.

        Returns the unweighted terms that are switched on (scalars, named as their weights in the
        configuration) and ``total``, the weighted sum to differentiate.
        """
        student, teacher = self._models
        config = self.config
        wants_outs = config.out > 0 or config.out_rel > 0
        wants_mids = config.mid > 0 or config.mid_rel > 0
        outs = student.kept_blocks if wants_outs else ()
        mids = student.kept_blocks if wants_mids else ()
        watch = partial(observe, teacher, batch, outs, mids)
        watching = self._beside.submit(watch) if core_to_spare(batch.frames.device) else None
        found = student(batch.frames, batch.mask, return_blocks=wants_outs or wants_mids)
        wanted = watching.result() if watching else watch()
        detection = self.detection(found, batch.segments, batch.labels, student.training)
        terms: dict[str, Callable[[], Tensor]] = {
            "cls": lambda: detection["cls"],
            "reg": lambda: detection["reg"],
            "out": lambda: feature_loss(found.blocks, wanted.blocks),
            "mid": lambda: feature_loss(found.mids, wanted.mids),
            "out_rel": lambda: relation_loss(found.blocks, wanted.blocks),
            "mid_rel": lambda: relation_loss(found.mids, wanted.mids),
            "kd_cls": lambda: self._class_distillation(found, wanted, detection),
            "kd_reg": lambda: _segment_distillation(found, wanted, detection["positive"]),
        }
        weights = {name: float(getattr(config, name)) for name in terms}
        if config.kd_kind == "dkd":
            weights["kd_cls"] *= dkd_warmup(epoch, config.dkd_warmup)
        losses = {name: term() for name, term in terms.items() if getattr(config, name) > 0}
        losses["total"] = torch.stack([weights[name] * x for name, x in losses.items()]).sum()
        return losses

    def _class_distillation(
        self, found: DetectorOutput, wanted: DetectorOutput, detection: DetectionTerms
    ) -> Tensor:
        config = self.config
        student, teacher = found.logits[found.mask], wanted.logits[found.mask]
        if config.kd_kind == "kl":
            return kl_loss(student, teacher, config.temperature)
        if config.kd_kind == "bernoulli":
            return bernoulli_loss(student, teacher, config.temperature)
        # A label-smoothed target is below 1 / (K + 1) for a class that is absent, else above.
        target = detection["target"][found.mask] > 1 / (student.shape[-1] + 1)
        return dkd_loss(
            student, teacher, target, config.temperature, config.dkd_alpha, config.dkd_beta
        )


@torch.no_grad()
def observe(
    teacher: Detector, batch: Batch, outs: Collection[int], mids: Collection[int]
) -> DetectorOutput:
    """The teacher's output with block outputs and mids of the named original indices only.

    Not under ``inference_mode``: the student's backward pass saves what the teacher returns.
    """
    tokens = teacher.backbone.embed(batch.frames)
    kept_outs: dict[int, Tensor] = {}
    kept_mids: dict[int, Tensor] = {}
    for index in teacher.kept_blocks:
        mid, tokens = teacher.run_block(index, tokens)
        if index in outs:
            kept_outs[index] = tokens
        if index in mids:
            kept_mids[index] = mid
    features = teacher.backbone.pool(tokens, len(batch.frames), teacher.window.grid)
    return teacher.detect(features, batch.mask, kept_outs, kept_mids)


def _segment_distillation(
    found: DetectorOutput, wanted: DetectorOutput, positive: Tensor
) -> Tensor:
    student = decode(found.points, found.offsets.float())[positive]
    teacher = decode(wanted.points, wanted.offsets.float())[positive]
    return segment_loss(student, teacher)


def _block_mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def _kl_sum(log_s: Tensor, log_t: Tensor) -> Tensor:
    return functional.kl_div(log_s, log_t, reduction="sum", log_target=True)


def _target_or_not(log_p: Tensor, target: Tensor) -> Tensor:
    """Log mass on the target classes and on the others: (P, K) -> (P, 2)."""
    parts = [log_p.masked_fill(~keep, _NEVER).logsumexp(-1) for keep in (target, ~target)]
    return torch.stack(parts, -1)


def _among_others(log_p: Tensor, target: Tensor) -> Tensor:
    """Log distribution within the classes that are no target: (P, K) -> (P, K)."""
    return functional.log_softmax(log_p.masked_fill(target, _NEVER), dim=-1)
