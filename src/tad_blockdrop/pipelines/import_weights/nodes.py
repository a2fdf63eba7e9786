"""The node that turns a weights file into a checkpoint. Heavy imports stand inside."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tad_blockdrop.config import (
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    RuntimeConfig,
    VideoMAEConfig,
)
from tad_blockdrop.config.weights import ImportWeightsConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.lineage import first_lineage

if TYPE_CHECKING:
    from tad_blockdrop.detector.weights.convert import ImportedDetector

logger = logging.getLogger(__name__)

BACKBONE_ALONE = (
    "the checkpoint holds the backbone alone: set baseline.backbone_weights to its folder, and a "
    "detector is trained on it"
)


class ImportWeightsError(BlockDropError):
    """The weights do not go with the parameters of this environment."""


def import_weights(
    settings: ImportWeightsConfig,
    data: DataConfig,
    detector: DetectorConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> tuple[pd.DataFrame, Checkpoint]:
    """A checkpoint made of ``import_weights.path``, and what became of each tensor.

    A detector of others becomes one for ``baseline.checkpoint``; of all else, the checkpoint holds
    the backbone alone, for ``baseline.backbone_weights``.
    """
    path = settings.path
    if path is None:
        raise ImportWeightsError(
            "no weights file is given: add --params import_weights.path=<file>"
        )
    found = _read(path, data, detector)
    sizes = found.config.backbone.geometry
    metrics = {"gmacs": _gmacs(found, data)} if found.classes else {}
    logger.info(
        "%s: %s; width %d, blocks %s of %d",
        path, found.report.summary(), sizes.width, found.kept_blocks, sizes.depth,
    )  # fmt: skip
    if found.classes:
        _tell_assumptions(found.config)
    else:
        logger.info(BACKBONE_ALONE)
    origin = {"imported": {"file": Path(path).name, "layout": found.report.layout}}
    return found.report.table(), Checkpoint(
        weights=found.weights,
        detector=found.config,
        kept_blocks=found.kept_blocks,
        classes=found.classes,
        window=data.window,
        every=data.every,
        fps=data.fps,
        postprocess=evaluation.postprocess,
        lineage=first_lineage(data, runtime.seed) | origin,
        metrics=metrics,
    )


def _read(path: str, data: DataConfig, detector: DetectorConfig) -> ImportedDetector:
    """The detector in a file; where there is just a backbone, that alone, and no classes."""
    from tad_blockdrop.detector.weights.convert import (
        ImportedDetector,
        recognise,
        to_backbone,
        to_detector,
    )
    from tad_blockdrop.detector.weights.errors import naming
    from tad_blockdrop.detector.weights.model_config import stated_keys
    from tad_blockdrop.detector.weights.reading import read_weights
    from tad_blockdrop.detector.weights.transformers import MODEL_TYPE, SIZES

    weights = read_weights(path)
    _tell_of_own(path)
    with naming(path):
        layout, _ = recognise(weights)
    if layout.has_detector:
        return to_detector(weights, _class_names(data), detector, path)
    stated = stated_keys(path, MODEL_TYPE, SIZES)
    found = to_backbone(weights, detector.backbone, path, stated)
    return ImportedDetector(
        config=detector.model_copy(update={"backbone": found.config}),
        kept_blocks=found.kept_blocks,
        classes=(),
        weights={f"backbone.{name}": tensor for name, tensor in found.weights.items()},
        report=found.report,
    )


def _tell_of_own(path: str) -> None:
    """Say that a checkpoint of this program needs no import; refuse one of another backbone."""
    from tad_blockdrop.detector.weights.model_config import own_backbone

    own = own_backbone(path)
    if own is None:
        return
    told = (
        f"{path} is a checkpoint of this program and needs no import: begin with all of it "
        "(baseline.source: checkpoint and baseline.checkpoint), or with its backbone "
        "(baseline.backbone_weights)"
    )
    if not isinstance(own, VideoMAEConfig):
        raise ImportWeightsError(f"{told}. Backbones of kind '{own.kind}' are not imported")
    logger.warning("%s", told)


def _tell_assumptions(config: DetectorConfig) -> None:
    """Log what of a detector leaves no trace in weights: a wrong one would go unnoticed."""
    keys = ("heads", "attention_window", "positions")
    values = ", ".join(f"{key} {getattr(config.pyramid, key)}" for key in keys)
    logger.info("assumed, as no weight shows it (see detector.pyramid): %s", values)
    if getattr(config.backbone, "remove_clip_mean", False):
        logger.warning(
            "detector.backbone.remove_clip_mean is taken to be true: no public program removes the "
            "mean of clips, so set it to false unless export_weights of this one wrote the file"
        )


def _class_names(data: DataConfig) -> tuple[str, ...] | None:
    """In the order of training, as the parameters say; a weights file has none."""
    from tad_blockdrop.video.annotations import read_classes_file
    from tad_blockdrop.video.dataset import AGNOSTIC

    if data.class_agnostic:
        return (AGNOSTIC,)
    if data.classes_file is not None:
        return read_classes_file(data.classes_file)
    logger.warning(
        "a weights file does not name its classes: they are called class_00, class_01, ... here. "
        "Set data.classes_file to a text file with one class a line, in the order of training"
    )
    return None


def _gmacs(found: ImportedDetector, data: DataConfig) -> float:
    """GMACs of a window, which shows whether the detector fits the windows."""
    import torch

    from tad_blockdrop.detector.model import Detector
    from tad_blockdrop.metrics.cost import macs

    n_classes = len(found.classes)
    try:
        with torch.device("meta"):
            Detector(found.config, n_classes, data.window, found.kept_blocks)
    except ValueError as error:
        raise ImportWeightsError(
            f"the imported detector does not fit data.window: {error}. Import it in the "
            "environment it was made for (for example --env thumos14_s)"
        ) from error
    return macs(found.config, n_classes, data.window, found.kept_blocks).total / 1e9
