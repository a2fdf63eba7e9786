"""The node that makes the uncompressed model. Heavy imports stand inside."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from tad_blockdrop.config import (
    BaselineConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    RuntimeConfig,
)
from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.lineage import first_lineage

logger = logging.getLogger(__name__)


class BaselineError(BlockDropError):
    """The uncompressed model cannot be made from what was given."""


def find_given(baseline: BaselineConfig) -> BaselineConfig:
    """The settings as they are, once the weights that they name have been found.

    It depends on no other node, so that a wrong path stops the job before any work. Raises
    BaselineError if nothing is there.
    """
    key = "checkpoint" if baseline.source == "checkpoint" else "backbone_weights"
    given = getattr(baseline, key)
    if given is not None and not Path(given).exists():
        raise BaselineError(
            f"baseline.{key}: there is nothing at {given}; put the weights there, "
            "or correct the path"
        )
    return baseline


def make_baseline(
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: list[str],
    scratch: Path,
    data: DataConfig,
    detector: DetectorConfig,
    baseline: BaselineConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> tuple[pd.DataFrame, Checkpoint]:
    """Train the uncompressed model (docs/method.md §3), or take ``baseline.checkpoint``.

    Returns its history (no rows for a given checkpoint) and the checkpoint.
    """
    from tad_blockdrop.baseline.training import new_detector, train_baseline
    from tad_blockdrop.detections.evaluation import checkpoint_metrics, held_out_map
    from tad_blockdrop.detector.model import weights_of
    from tad_blockdrop.detector.weights.convert import load_backbone
    from tad_blockdrop.video.windows.cutting import records

    if baseline.source == "checkpoint":
        return pd.DataFrame({"stage": [], "epoch": []}), _given(baseline, classes)
    model = new_detector(detector, len(classes), data, baseline, runtime.seed)
    if baseline.backbone_weights is not None:
        logger.info(load_backbone(model, baseline.backbone_weights).summary())
    held_out = records(videos, instances, classes, "holdout")
    training = records(videos, instances, classes, "train")
    history = train_baseline(
        model,
        training,
        baseline,
        data,
        runtime,
        scratch,
        held_out_map(held_out, classes, data, evaluation, runtime),
    )
    checkpoint = Checkpoint(
        weights=weights_of(model),
        detector=detector,
        kept_blocks=model.kept_blocks,
        classes=tuple(classes),
        window=data.window,
        every=data.every,
        fps=data.fps,
        postprocess=evaluation.postprocess,
        lineage=first_lineage(data, runtime),
        metrics=checkpoint_metrics(
            model, held_out, training, classes, data, evaluation, runtime, scratch
        ),
    )
    return history.assign(stage="baseline"), checkpoint


def _given(baseline: BaselineConfig, classes: list[str]) -> Checkpoint:
    assert baseline.checkpoint is not None  # the configuration has seen to it
    checkpoint = read_checkpoint(Path(baseline.checkpoint))
    if list(checkpoint.classes) != list(classes):
        raise BaselineError(
            f"{baseline.checkpoint} detects {list(checkpoint.classes)}, but this dataset has "
            f"{list(classes)}: fine-tune on this dataset, or set data.classes_file to the "
            "checkpoint's classes in their order"
        )
    return checkpoint
