"""When the loop ends, and which of its models is the one to use (``compress.stop``, ``select``)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detector.checkpoint import Checkpoint


def stop_reason(
    student: Checkpoint, uncompressed: Checkpoint, compress: CompressConfig
) -> str | None:
    """Why the loop ends before another block is dropped, or None (``compress.stop``)."""
    stop, metrics = compress.stop, student.metrics
    for why in ("skipped", "ended"):
        if student.lineage.get(why):
            return str(student.lineage[why])
    if stop.max_gmacs is not None and metrics["gmacs"] <= stop.max_gmacs:
        return f"{metrics['gmacs']:.3g} GMACs are within compress.stop.max_gmacs {stop.max_gmacs}"
    if stop.max_latency_ms is not None and metrics.get("latency_ms", inf) <= stop.max_latency_ms:
        return (
            f"{metrics['latency_ms']:.3g} ms are within compress.stop.max_latency_ms "
            f"{stop.max_latency_ms}"
        )
    lost, target = _lost(student, uncompressed), compress.target
    for key, limit in (
        ("compress.stop.max_loss", stop.max_loss),
        ("compress.target.loss", target.loss if target else None),
    ):
        if limit is not None and lost > limit:
            return (
                f"{lost:.2f} average mAP points lost on the held-out videos, more than "
                f"{key} {limit}"
            )
    return None


def choose_final(
    uncompressed: Checkpoint, steps: Sequence[Checkpoint], compress: CompressConfig
) -> Checkpoint:
    """The model to use: the last step, or the shortest within the loss that is allowed.

    That is ``compress.target.loss``, or ``compress.stop.max_loss`` with ``select:
    within_tolerance``.
    """
    taken = [step for step in steps if not step.lineage["skipped"]]
    limit = compress.target.loss if compress.target else None
    if limit is None and compress.select == "within_tolerance":
        limit = compress.stop.max_loss or 0.0
    if limit is not None:
        taken = [step for step in taken if _lost(step, uncompressed) <= limit]
    return taken[-1] if taken else uncompressed


def _lost(student: Checkpoint, uncompressed: Checkpoint) -> float:
    """Average mAP points lost on held-out videos; 0 where nothing is held out."""
    reference = uncompressed.metrics.get("holdout_average", 0.0)
    return float(reference - student.metrics.get("holdout_average", reference))
