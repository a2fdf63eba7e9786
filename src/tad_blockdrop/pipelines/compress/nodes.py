"""Thin nodes of the loop over ``compression``, ``training`` and ``evaluation``.

Heavy imports stand inside the functions: the command line must not pay for them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tad_blockdrop.config import (
    CompressConfig,
    DataConfig,
    EvaluationConfig,
    RuntimeConfig,
)
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.pipelines.lineage import child_lineage, model_name

if TYPE_CHECKING:
    from tad_blockdrop.detector.model import Detector

logger = logging.getLogger(__name__)

STAGES = ("score", "align", "evaluate")


@dataclass(frozen=True, eq=False)
class AlignedModel:
    """A trained student whose LoRA is not merged yet, with the checkpoint it was made from."""

    model: Detector | None
    source: Checkpoint


def score_blocks(
    student: Checkpoint,
    uncompressed: Checkpoint,
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: list[str],
    scratch: Path,
    data: DataConfig,
    compress: CompressConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> tuple[pd.DataFrame, float]:
    """Rank the remaining blocks on the training videos (docs/method.md §4.1).

    Returns a table (step, block, criterion, value, rank, videos; no rows once the loop has
    stopped) and the seconds spent. ``videos`` says how many were used.
    """
    from tad_blockdrop.compression.scoring import score_blocks as score
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.runtime.devices import autocast, pick_device, set_threads
    from tad_blockdrop.storage.resumable_pass import scratch_for
    from tad_blockdrop.video.summary import coverage
    from tad_blockdrop.video.windows.cutting import records
    from tad_blockdrop.video.windows.loading import TestWindows, make_loader

    step = int(student.lineage["step"]) + 1
    reason = stop_reason(student, uncompressed, compress)
    if reason is not None:
        logger.info("step %d is skipped: %s", step, reason)
        return pd.DataFrame(columns=["step", "block", "criterion", "value", "rank", "videos"]), 0.0
    begin = time.perf_counter()
    set_threads(runtime.threads)
    if step == compress.n_drops:  # no further drop to look ahead to
        compress = compress.model_copy(update={"look_ahead": 1})
    training = records(videos, instances, classes, "train")[: compress.score_videos]
    loader = make_loader(
        TestWindows(training, data, data.window.overlap), evaluation.batch, runtime.workers
    )
    device = pick_device(runtime)
    model = from_checkpoint(student, device)
    settings = {"data": data, "compress": compress, "evaluation": evaluation}
    dumped = {name: value.model_dump(mode="json") for name, value in settings.items()}
    kept = scratch_for(scratch, model, training, precision=runtime.precision, **dumped)
    with autocast(runtime, device):
        table = score(model, loader, training, classes, compress, evaluation, kept)
    used = coverage(videos, [video.video_id for video in training])
    return table.assign(step=step, videos=used), time.perf_counter() - begin


def drop_block(student: Checkpoint, scores: pd.DataFrame) -> Checkpoint:
    """The student without the block that ranks first; unchanged once the loop has stopped."""
    from tad_blockdrop.compression import dropping

    step = int(student.lineage["step"]) + 1
    if scores.empty:
        lineage = child_lineage(student, step=step, dropped_block=None)
        return replace(student, lineage=lineage | {"skipped": "the loop had stopped"})
    drop = dropping.choose_block(scores)
    if drop.tied:
        logger.warning(
            "step %d: blocks %s score the same as block %d (%s %.6g); the lowest index is dropped. "
            "Use more videos for scoring (compress.score_videos) or another compress.criterion",
            step, drop.tied, drop.block, drop.criterion, drop.value,
        )  # fmt: skip
    shorter = dropping.drop_block(student, drop.block)
    lineage = child_lineage(
        student, family="progressive", step=step, dropped_block=drop.block,
        criterion=drop.criterion, score=drop.value, margin=drop.margin,
    )  # fmt: skip
    return replace(shorter, lineage=lineage)


def keep_all(student: Checkpoint) -> Checkpoint:
    """The control's stand-in for dropping: the next round, with every block still there."""
    step = int(student.lineage["step"]) + 1
    return replace(student, lineage=child_lineage(student, family="control", step=step))


def align(
    dropped: Checkpoint,
    student: Checkpoint,
    uncompressed: Checkpoint,
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: list[str],
    scratch: Path,
    data: DataConfig,
    compress: CompressConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> tuple[AlignedModel, pd.DataFrame, float]:
    """Align with the teacher (docs/method.md §4.3); returns model, history and seconds spent.

    The teacher is the uncompressed model, or with ``compress.teacher: dynamic`` the student
    before the drop. A skipped step trains nothing.
    """
    from tad_blockdrop.compression.alignment import align_model
    from tad_blockdrop.detections.evaluation import held_out_map
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.video.windows.cutting import records

    name, step = model_name(dropped), int(dropped.lineage["step"])
    if dropped.lineage["skipped"]:
        nothing = pd.DataFrame({"stage": [], "step": [], "epoch": []})
        return AlignedModel(None, dropped), nothing, 0.0
    begin = time.perf_counter()
    model = from_checkpoint(dropped)
    held_out = records(videos, instances, classes, "holdout")
    history = align_model(
        model,
        from_checkpoint(student if compress.teacher == "dynamic" else uncompressed),
        records(videos, instances, classes, "train"),
        compress.loss,
        compress.recipe(step),
        data,
        runtime.model_copy(update={"seed": runtime.seed + step}),
        label=name,
        scratch=scratch,
        validate=held_out_map(held_out, classes, data, evaluation, runtime),
    )
    history = history.assign(stage=name, step=step)
    return AlignedModel(model, dropped), history, time.perf_counter() - begin


def merge_lora(
    aligned: AlignedModel,
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: list[str],
    scratch: Path,
    data: DataConfig,
    compress: CompressConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> Checkpoint:
    """Fold the LoRA into plain weights (docs/method.md §4.4); the checkpoint states its metrics."""
    from tad_blockdrop.compression import lora
    from tad_blockdrop.detections.evaluation import checkpoint_metrics
    from tad_blockdrop.detector.model import weights_of
    from tad_blockdrop.metrics.measure import latency
    from tad_blockdrop.runtime.devices import autocast
    from tad_blockdrop.video.windows.cutting import records

    source, model = aligned.source, aligned.model
    if model is None:
        return source
    lora.merge_lora(model)
    metrics = checkpoint_metrics(
        model,
        records(videos, instances, classes, "holdout"),
        records(videos, instances, classes, "train"),
        classes,
        data,
        evaluation,
        runtime,
        scratch,
    )
    if compress.stop.max_latency_ms is not None:
        with autocast(runtime, model.head.location.device):
            table = latency({"model": model}, evaluation.latency_repeats)
        metrics["latency_ms"] = 1000 * float(table["median"].iloc[0])
    return replace(source, weights=weights_of(model), metrics=metrics)


def evaluate_step(
    checkpoint: Checkpoint,
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: list[str],
    scratch: Path,
    data: DataConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Detections on the test videos, their average precision (percent) and the seconds spent.

    Both tables carry ``model``, that of precision also ``videos``, how many were used; a skipped
    step has no detections and NaN for precision.
    """
    from tad_blockdrop.detections.evaluation import evaluate_test
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.runtime.devices import pick_device, set_threads
    from tad_blockdrop.video.summary import coverage

    described = {
        "model": model_name(checkpoint),
        "family": checkpoint.lineage["family"],
        "step": int(checkpoint.lineage["step"]),
        "dropped_block": checkpoint.lineage["dropped_block"],
        "kept_blocks": " ".join(map(str, checkpoint.kept_blocks)),
        "skipped": bool(checkpoint.lineage["skipped"]),
        "videos": coverage(videos, set(videos.loc[videos["split"] == "test", "video_id"])),
    }
    if described["skipped"]:
        unknown = pd.DataFrame({"label": "", "tiou": evaluation.tious, "ap": float("nan")})
        return pd.DataFrame({"model": []}, dtype="str"), unknown.assign(**described), 0.0
    begin = time.perf_counter()
    set_threads(runtime.threads)
    model = from_checkpoint(checkpoint, pick_device(runtime))
    name = str(described["model"])
    detections, precision = evaluate_test(
        model, videos, instances, classes, data, evaluation, runtime, f"evaluating {name}", scratch
    )
    logger.info("%s: average mAP %.2f %%", name, precision["ap"].mean())
    seconds = time.perf_counter() - begin
    return detections.assign(model=name), precision.assign(**described), seconds


def stop_reason(
    student: Checkpoint, uncompressed: Checkpoint, compress: CompressConfig
) -> str | None:
    """Why the loop ends before another block is dropped, or None (``compress.stop``)."""
    stop, metrics = compress.stop, student.metrics
    if student.lineage["skipped"]:
        return str(student.lineage["skipped"])
    if stop.max_gmacs is not None and metrics["gmacs"] <= stop.max_gmacs:
        return f"{metrics['gmacs']:.3g} GMACs are within compress.stop.max_gmacs {stop.max_gmacs}"
    if stop.max_latency_ms is not None and metrics.get("latency_ms", inf) <= stop.max_latency_ms:
        return (
            f"{metrics['latency_ms']:.3g} ms are within compress.stop.max_latency_ms "
            f"{stop.max_latency_ms}"
        )
    lost = _lost(student, uncompressed)
    if stop.max_loss is not None and lost > stop.max_loss:
        return (
            f"{lost:.2f} average mAP points lost on the held-out videos, more than "
            f"compress.stop.max_loss {stop.max_loss}"
        )
    return None


def _lost(student: Checkpoint, uncompressed: Checkpoint) -> float:
    """Average mAP points lost on held-out videos; 0 where nothing is held out."""
    reference = uncompressed.metrics.get("holdout_average", 0.0)
    return float(reference - student.metrics.get("holdout_average", reference))


def select_final(
    uncompressed: Checkpoint, compress: CompressConfig, *steps: Checkpoint
) -> Checkpoint:
    """The model to use: the last step, or the shortest within ``compress.stop.max_loss``."""
    taken = [step for step in steps if not step.lineage["skipped"]]
    if compress.select == "within_tolerance":
        limit = compress.stop.max_loss or 0.0
        taken = [step for step in taken if _lost(step, uncompressed) <= limit]
    return taken[-1] if taken else uncompressed


def join_tables(*tables: pd.DataFrame) -> pd.DataFrame:
    """All rows, in the order given; tables of skipped steps have none."""
    return pd.concat([t for t in tables if len(t)], ignore_index=True)


def collect_checkpoints(*checkpoints: Checkpoint) -> list[Checkpoint]:
    """The checkpoints of the steps that were taken."""
    return [checkpoint for checkpoint in checkpoints if not checkpoint.lineage["skipped"]]


def collect_seconds(*seconds: float) -> pd.DataFrame:
    """Columns step, score, align, evaluate; ``seconds`` come step by step in that order."""
    n = len(STAGES)
    rows = [seconds[i : i + n] for i in range(0, len(seconds), n)]
    table = pd.DataFrame(rows, columns=list(STAGES))
    return table.assign(step=range(1, len(rows) + 1))
