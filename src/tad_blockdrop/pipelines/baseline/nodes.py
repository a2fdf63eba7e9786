"""The node that makes the uncompressed model. Heavy imports stand inside."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tad_blockdrop.config import (
    BaselineConfig,
    CompressConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    PostprocessConfig,
    RuntimeConfig,
)
from tad_blockdrop.config.backbones import PRETRAINED
from tad_blockdrop.detector.checkpoint import (
    Checkpoint,
    read_checkpoint,
    require_classes,
    respelled,
    to_train,
)
from tad_blockdrop.detector.units import Unit
from tad_blockdrop.pipelines.baseline.checks import (
    BaselineError,
    check_aids,
    check_sampling,
    check_videos,
    loss_limit,
)
from tad_blockdrop.pipelines.costs import Meter, check_target
from tad_blockdrop.pipelines.hints import Evaluator
from tad_blockdrop.pipelines.lineage import first_lineage

logger = logging.getLogger(__name__)


def find_given(
    baseline: BaselineConfig,
    detector: DetectorConfig,
    data: DataConfig,
    compress: CompressConfig,
    runtime: RuntimeConfig,
    evaluation: EvaluationConfig,
) -> BaselineConfig:
    """The settings as they are, once the weights that they name have been found to fit.

    It depends on no other node, so that a wrong path, weights of another network, or a LoRA target
    that the backbone lacks stop the job before any work, as do devices that this machine lacks.
    Raises DeviceError for these, BaselineError if nothing is there,
    FormatError or CheckpointError for what does not fit, LoraError, UnitError, RepairError for a
    backbone that cannot be repaired, or TargetError for a ``compress.target`` out of reach.
    """
    from tad_blockdrop.compression.dropping import check_units
    from tad_blockdrop.compression.lora import check_targets
    from tad_blockdrop.compression.repair import check_repairable
    from tad_blockdrop.detector.backbones import make_backbone
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.runtime.devices import count_devices
    from tad_blockdrop.runtime.runtime import Runtime

    kind, crop, weights = detector.backbone, data.window.crop, None
    kept: Sequence[Unit] = range(kind.geometry.depth)
    n_classes = 1  # not known yet; they matter to a model's last layer only
    recipes = [compress.first, compress.later]
    if baseline.source == "checkpoint":
        assert baseline.checkpoint is not None  # guaranteed by config validation
        _exists("baseline.checkpoint", baseline.checkpoint)
        given = read_checkpoint(Path(baseline.checkpoint))
        check_sampling(given, data)
        from_checkpoint(given)  # for its error: nothing has looked at its sizes before
        kind, crop, kept = given.detector.backbone, given.window.crop, given.kept_blocks
        detector, n_classes = given.detector, len(given.classes)
    else:
        check_aids(baseline, detector)
        weights = starting_weights(detector, baseline)
        recipes = [baseline.train, *recipes]
    where = Runtime(runtime)
    count_devices(runtime, where.device)  # for its errors: a cluster has not been asked before
    backbone = make_backbone(kind, crop, kept)
    if weights is not None:
        backbone.load_weights(weights)
    for recipe in recipes:
        if recipe.tuning == "lora":
            check_targets(backbone, recipe.lora)
    check_units(backbone, compress)
    if compress.repair.layers != "none":
        check_repairable(backbone)
    if compress.target is not None:
        size = detector, n_classes, data.window
        repeats = evaluation.latency_repeats
        check_target(Meter(compress.target, *size, where, repeats), kept, compress)
    return baseline


def starting_weights(detector: DetectorConfig, baseline: BaselineConfig) -> str | None:
    """Where a new backbone's weights come from, if from anywhere; a path is found to exist."""
    for key, path in (
        ("detector.backbone.weights", detector.backbone.weights),
        ("baseline.backbone_weights", baseline.backbone_weights),
    ):
        if path is not None:
            if path != PRETRAINED:
                _exists(key, path)
            return path
    return None


def _exists(key: str, path: str) -> None:
    if not Path(path).exists():
        raise BaselineError(
            f"{key}: there is nothing at {path}; put the weights there, or correct the path"
        )


def make_baseline(
    evaluator: Evaluator,
    scratch: Path,
    detector: DetectorConfig,
    baseline: BaselineConfig,
    compress: CompressConfig,
) -> tuple[pd.DataFrame, Checkpoint]:
    """Train the uncompressed model (docs/method.md §3), or take ``baseline.checkpoint``.

    Returns its history (no rows for a given checkpoint) and the checkpoint. A given one is trained
    and used from here on as this experiment says; where it was rated otherwise, or has to be held
    against its successors, it is rated anew. Raises the errors of :func:`check_videos`.
    """
    from tad_blockdrop.baseline.training import new_detector
    from tad_blockdrop.jobs.sharing import as_checkpoint
    from tad_blockdrop.jobs.training import train_baseline, with_frozen_features

    data, classes = evaluator.data, evaluator.dataset.classes
    if baseline.source == "checkpoint":
        given = _given(baseline, classes)
        check_videos(evaluator, given.detector, compress)
        ours = replace(
            to_train(given, detector),
            window=data.window,
            postprocess=evaluator.evaluation.postprocess,
        )
        if loss_limit(compress) or _used_for_rating(ours) != _used_for_rating(given):
            ours = _rated(ours, evaluator, scratch)
        return pd.DataFrame({"stage": [], "epoch": []}), ours
    check_videos(evaluator, detector, compress)
    model = new_detector(detector, len(classes), data, baseline, evaluator.runtime.seed)
    weights = starting_weights(detector, baseline)
    if weights is not None:
        logger.info("%s", model.backbone.load_weights(weights))
    if baseline.train.tuning == "frozen":
        evaluator = with_frozen_features(model, evaluator, scratch)
    history = train_baseline(model, baseline, evaluator, scratch, "baseline")
    backbone = detector.backbone.model_copy(update={"weights": None})  # a path of this machine
    metrics, decisions = evaluator.rate_checkpoint(model, scratch)
    checkpoint = replace(
        as_checkpoint(model, evaluator),
        detector=detector.model_copy(update={"backbone": backbone}),
        lineage=first_lineage(data, evaluator.runtime.seed),
        metrics=metrics,
        decisions=decisions,
    )
    return history.assign(stage="baseline"), checkpoint


def _given(baseline: BaselineConfig, classes: tuple[str, ...]) -> Checkpoint:
    assert baseline.checkpoint is not None  # guaranteed by config validation
    checkpoint = read_checkpoint(Path(baseline.checkpoint))
    require_classes(checkpoint, classes, baseline.checkpoint)
    # The loop counts from it, though it may be a step of another one.
    start = {"family": "uncompressed", "step": 0, "dropped_block": None}
    lineage = checkpoint.lineage | start | {"skipped": None, "ended": None}
    return replace(respelled(checkpoint, classes), lineage=lineage)


def _used_for_rating(checkpoint: Checkpoint) -> tuple[PostprocessConfig, float]:
    """What its metrics and decisions depend on, of what may differ from one job to another."""
    return checkpoint.postprocess, checkpoint.window.overlap


def _rated(checkpoint: Checkpoint, evaluator: Evaluator, scratch: Path) -> Checkpoint:
    """With the metrics and decisions that the videos of this experiment give it."""
    from tad_blockdrop.detector.model import from_checkpoint

    model = from_checkpoint(checkpoint, evaluator.runtime.device)
    metrics, decisions = evaluator.rate_checkpoint(model, scratch)
    return replace(checkpoint, metrics=metrics, decisions=decisions)
