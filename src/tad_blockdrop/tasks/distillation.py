"""Distillation of class logits, for every task that has some.

All functions compute in float32 whatever autocast does outside, and return a scalar that is
differentiable in the student, also when there is nothing to compare (an exact zero then, with zero
gradients). Notation: ``s`` student, ``t`` teacher, ``T`` temperature, ``K`` classes, ``V`` points.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tad_blockdrop.config import AlignLossConfig

# A logit so low that its softmax is an exact float32 zero, yet finite: -inf has NaN gradients.
_NEVER = -1e4


def class_distillation(
    config: AlignLossConfig, student: Tensor, teacher: Tensor, target: Tensor
) -> Tensor:
    """The loss of ``config.kd_kind`` between logits (V, K); ``target`` bool (V, K), for ``dkd``."""
    kind = config.kd_kind or ("kl" if student.shape[-1] > 1 else "bernoulli")
    if kind == "kl":
        return kl_loss(student, teacher, config.temperature)
    if kind == "bernoulli":
        return bernoulli_loss(student, teacher, config.temperature)
    return dkd_loss(student, teacher, target, config.temperature, config.dkd_alpha, config.dkd_beta)


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


def dkd_warmup(epoch: float, warmup: float) -> float:
    """Factor of the DKD term: ``min(epoch / warmup, 1)``; 1 without a warm-up."""
    return min(epoch / warmup, 1.0) if warmup > 0 else 1.0


def _kl_sum(log_s: Tensor, log_t: Tensor) -> Tensor:
    return functional.kl_div(log_s, log_t, reduction="sum", log_target=True)


def _target_or_not(log_p: Tensor, target: Tensor) -> Tensor:
    """Log mass on the target classes and on the others: (P, K) -> (P, 2)."""
    parts = [log_p.masked_fill(~keep, _NEVER).logsumexp(-1) for keep in (target, ~target)]
    return torch.stack(parts, -1)


def _among_others(log_p: Tensor, target: Tensor) -> Tensor:
    """Log distribution within the classes that are no target: (P, K) -> (P, K)."""
    return functional.log_softmax(log_p.masked_fill(target, _NEVER), dim=-1)
