"""Thin nodes of the loop over ``compression`` and ``training``.

Heavy imports stand inside the functions: the command line must not pay for them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tad_blockdrop.config import CompressConfig, DetectorConfig
from tad_blockdrop.detector.checkpoint import Checkpoint, require_classes, to_train
from tad_blockdrop.detector.units import as_stored, parse_unit
from tad_blockdrop.pipelines.costs import Meter, Savings, find_savings, goal_reached
from tad_blockdrop.pipelines.lineage import child_lineage, model_name
from tad_blockdrop.pipelines.shared import Tables, join_tables

if TYPE_CHECKING:
    from tad_blockdrop.detections.evaluation import Evaluator
    from tad_blockdrop.detector.model import Detector
else:  # Kedro resolves these hints at start-up, when torch must not be loaded yet
    Evaluator = Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AlignedModel:
    """A trained student whose LoRA is not merged yet, with the checkpoint it was made from."""

    model: Detector | None
    source: Checkpoint


def score_blocks(
    student: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    scratch: Path,
    compress: CompressConfig,
) -> pd.DataFrame:
    """Rank the remaining blocks on the training videos (docs/method.md §4.1).

    Columns step, those of ``ranking.COLUMNS``, videos (how many were used), with
    ``compress.target`` also gain (percent); no rows once the loop has stopped.
    """
    from tad_blockdrop.compression import ranking
    from tad_blockdrop.compression.stopping import stop_reason
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.jobs.scoring import score_blocks as score

    step = int(student.lineage["step"]) + 1
    if step == 1 and compress.stop.max_latency_ms is not None:  # that of later ones is known
        found = _latency(from_checkpoint(student, evaluator.runtime.device), evaluator)
        student = replace(student, metrics=student.metrics | found)
    reason = stop_reason(student, uncompressed, compress)
    savings = None
    if reason is None and compress.target is not None:
        savings = _savings(student, uncompressed, evaluator, compress)
        # After a drop that is aligned only if it is the last, the alignment has decided that.
        if compress.align != "last" or step == 1:
            reason = savings.reached
    if reason is not None:
        logger.info("step %d is skipped: %s", step, reason)
        return pd.DataFrame(columns=["step", *ranking.COLUMNS, "videos"])
    if step == compress.n_drops:  # no further drop to look ahead to
        compress = compress.model_copy(update={"look_ahead": 1})
    require_classes(student, evaluator.dataset.classes, model_name(student))
    videos = evaluator.dataset.records("train")[: compress.score_videos]
    gains = savings.gains if savings else None
    table = score(student, uncompressed, evaluator, compress, scratch, gains)
    used = evaluator.dataset.coverage([video.video_id for video in videos])
    table = table.assign(step=step, videos=used)
    if savings is None:
        return table
    units = list(map(parse_unit, table["block"]))
    if step == compress.n_drops and savings.missed_without(units[0]):
        logger.warning(
            "compress.target will not be reached by the last of compress.n_drops (%d) steps: raise "
            "compress.n_drops", step,
        )  # fmt: skip
    return table.assign(gain=[savings.gains[unit] for unit in units])


def _savings(
    student: Checkpoint, uncompressed: Checkpoint, evaluator: Evaluator, compress: CompressConfig
) -> Savings:
    """What the student costs in the measure of ``compress.target``, and what units save."""
    meter = _meter(uncompressed, evaluator, compress)
    return find_savings(meter, student.kept_blocks, uncompressed.kept_blocks, compress.unit)


def _meter(uncompressed: Checkpoint, evaluator: Evaluator, compress: CompressConfig) -> Meter:
    assert compress.target is not None
    size = uncompressed.detector, len(uncompressed.classes), uncompressed.window
    repeats = evaluator.evaluation.latency_repeats
    return Meter(compress.target, *size, evaluator.runtime, repeats)


def drop_block(student: Checkpoint, scores: pd.DataFrame) -> Checkpoint:
    """The student without the unit that ranks first; unchanged once the loop has stopped."""
    from tad_blockdrop.compression import dropping

    step = int(student.lineage["step"]) + 1
    if scores.empty:
        lineage = child_lineage(student, step=step, dropped_block=None)
        return replace(student, lineage=lineage | {"skipped": "the loop had stopped"})
    drop = dropping.choose_block(scores)
    if drop.tied:
        logger.warning(
            "step %d: blocks %s score the same as block %s (%s %.6g); the lowest index is dropped. "
            "Use more videos for scoring (compress.score_videos) or another compress.criterion",
            step, ", ".join(map(str, drop.tied)), drop.block, drop.criterion, drop.value,
        )  # fmt: skip
    shorter = dropping.drop_block(student, drop.block)
    lineage = child_lineage(
        student, family="progressive", step=step, dropped_block=as_stored(drop.block),
        criterion=drop.criterion, score=drop.value, margin=drop.margin,
    )  # fmt: skip
    return replace(shorter, lineage=lineage)


def repair(
    dropped: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    scratch: Path,
    compress: CompressConfig,
) -> tuple[Checkpoint, pd.DataFrame]:
    """Refit what is left towards the uncompressed model (docs/method.md §4.5), without gradients.

    Returns the repaired model and a row per layer: step, block and branch or the name of the layer
    of neck or head, errors before and after, ridge. A skipped step has no rows.
    """
    from tad_blockdrop.compression.repair import COLUMNS
    from tad_blockdrop.jobs.repair import repair as refit

    if dropped.lineage["skipped"]:
        return dropped, pd.DataFrame(columns=["step", *COLUMNS])
    weights, table = refit(dropped, uncompressed, evaluator, compress.repair, scratch)
    lineage = dropped.lineage | {"repaired": compress.repair.layers}
    repaired = replace(dropped, weights=weights, lineage=lineage)
    return repaired, table.assign(step=int(dropped.lineage["step"]))


def keep_all(student: Checkpoint, taken: Sequence[Checkpoint] | None = None) -> Checkpoint:
    """The control's stand-in for dropping: the next round, with every block still there.

    ``taken``: the steps of a loop that aligns its last model only; the control goes with that one.
    """
    if taken is None:
        step = int(student.lineage["step"]) + 1
        return replace(student, lineage=child_lineage(student, family="control", step=step))
    step = int(taken[-1].lineage["step"]) if taken else 0
    lineage = child_lineage(student, family="control", step=step)
    return replace(student, lineage=lineage | ({} if taken else {"skipped": "nothing was dropped"}))


def align(
    shortened: Checkpoint,
    student: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    scratch: Path,
    compress: CompressConfig,
    detector: DetectorConfig,
) -> tuple[AlignedModel, pd.DataFrame]:
    """Align with the teacher (docs/method.md §4.3); returns model and history.

    The teacher is the uncompressed model, or with ``compress.teacher: dynamic`` the student
    before the drop. A step that is skipped or not aligned trains nothing; with ``align: last`` the
    last one is aligned, whether the count or a goal makes it that.
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.jobs import training

    name, step = model_name(shortened), int(shortened.lineage["step"])
    skipped, align = bool(shortened.lineage["skipped"]), compress.align == "each"
    if not skipped:
        require_classes(shortened, evaluator.dataset.classes, name)
        if compress.align == "last":
            ended = _last(shortened, uncompressed, evaluator, compress)
            shortened = replace(shortened, lineage=shortened.lineage | {"ended": ended})
            align = ended is not None
    if skipped or not align:
        nothing = pd.DataFrame({"stage": [], "step": [], "epoch": []})
        return AlignedModel(None if skipped else from_checkpoint(shortened), shortened), nothing
    teacher = student if compress.teacher == "dynamic" else uncompressed
    model, history = training.align(
        to_train(shortened, detector), teacher, evaluator, compress, step, name, scratch
    )
    return AlignedModel(model, shortened), history.assign(stage=name, step=step)


def _last(
    shortened: Checkpoint, uncompressed: Checkpoint, evaluator: Evaluator, compress: CompressConfig
) -> str | None:
    """Why no drop follows this one, in a sentence; None if one does."""
    if shortened.lineage["family"] == "control":
        return "there is one control, aligned as long as the last step"
    if int(shortened.lineage["step"]) == compress.n_drops:
        return f"compress.n_drops ({compress.n_drops}) are dropped"
    if compress.target is None:
        return None
    meter = _meter(uncompressed, evaluator, compress)
    return goal_reached(meter, shortened.kept_blocks, uncompressed.kept_blocks)


def merge_lora(
    aligned: AlignedModel, evaluator: Evaluator, scratch: Path, compress: CompressConfig
) -> Checkpoint:
    """Fold the LoRA into plain weights (docs/method.md §4.4); the checkpoint states its metrics."""
    from tad_blockdrop.compression import lora
    from tad_blockdrop.detector.model import weights_of

    source, model = aligned.source, aligned.model
    if model is None:
        return source
    lora.merge_lora(model.to(evaluator.runtime.device))
    metrics, decisions = evaluator.rate_checkpoint(model, scratch)
    if compress.stop.max_latency_ms is not None:
        metrics |= _latency(model, evaluator)
    return replace(source, weights=weights_of(model), metrics=metrics, decisions=decisions)


def _latency(model: Detector, evaluator: Evaluator) -> dict[str, float]:
    """What a model states for ``compress.stop.max_latency_ms``: measured here, for one window."""
    from tad_blockdrop.metrics.measure import latency

    with evaluator.runtime.autocast():
        table = latency({"model": model}, evaluator.evaluation.latency_repeats)
    return {"latency_ms": 1000 * float(table["median"].iloc[0])}


def select_final(
    uncompressed: Checkpoint, compress: CompressConfig, *steps: Checkpoint
) -> Checkpoint:
    """The model to use."""
    from tad_blockdrop.compression.stopping import choose_final

    return choose_final(uncompressed, steps, compress)


def collect_checkpoints(*checkpoints: Checkpoint) -> list[Checkpoint]:
    """The checkpoints of the steps that were taken."""
    return [checkpoint for checkpoint in checkpoints if not checkpoint.lineage["skipped"]]


def collect_results(*tables: pd.DataFrame) -> Tables:
    """The tables of all steps, joined; they come step by step: history, detections, metrics."""
    return Tables(*(join_tables(*tables[first::3]) for first in range(3)))
