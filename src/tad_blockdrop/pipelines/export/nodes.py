"""Thin nodes over ``export``. Heavy imports stand inside the functions."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import pandas as pd

from tad_blockdrop.config import DataConfig, EvaluationConfig, RuntimeConfig
from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.export.files import ExportedModel
from tad_blockdrop.pipelines.predict.nodes import read_given

logger = logging.getLogger(__name__)


def read_folder(export: ExportConfig) -> Checkpoint:
    """The checkpoint in the folder ``export.checkpoint``, or the newest version below it."""
    return read_given(export.checkpoint, "export.checkpoint")


def export_model(checkpoint: Checkpoint) -> ExportedModel:
    """The model as ONNX and torch.export files with their sidecar, unchecked."""
    from tad_blockdrop.export.model import export_checkpoint

    return export_checkpoint(checkpoint)


def check_export(
    exported: ExportedModel,
    checkpoint: Checkpoint,
    videos: pd.DataFrame,
    data: DataConfig,
    export: ExportConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> tuple[ExportedModel, dict[str, Any]]:
    """Compare the exports with PyTorch on windows of the first ``check_videos`` test videos.

    Returns the export, now checked, and the differences. Raises ExportError if they exceed
    ``export.max_difference``.
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.export.check import compare, refuse_difference
    from tad_blockdrop.export.onnx import open_session
    from tad_blockdrop.export.torch_export import from_archive
    from tad_blockdrop.training.devices import set_threads
    from tad_blockdrop.video.loading import TestWindows, make_loader
    from tad_blockdrop.video.windows import records

    set_threads(runtime.threads)
    own_windows = data.model_copy(update={"window": checkpoint.window})
    no_instances = pd.DataFrame(columns=["video_id", "label", "start", "end"])
    test = records(videos, no_instances, checkpoint.classes, "test")[: export.check_videos]
    windows = TestWindows(test, own_windows, checkpoint.window.overlap)
    parity = compare(
        from_checkpoint(checkpoint),
        open_session(exported.onnx, runtime.threads),
        from_archive(exported.archive),
        make_loader(windows, evaluation.batch, runtime.workers),
        test,
        checkpoint.classes,
        checkpoint.postprocess,
    )
    refuse_difference(parity, export.max_difference)
    logger.info(
        "exports against PyTorch on %d windows: logits differ by at most %.1e (ONNX) and %.1e "
        "(torch.export); %.2f %% of %d detections are the same to 2 decimals",
        parity.windows, parity.onnx_logits, parity.archive_logits,
        100 * parity.same, parity.detections,
    )  # fmt: skip
    return exported, asdict(parity) | {"videos": len(test)}


def time_exports(
    exported: ExportedModel,
    exported_uncompressed: ExportedModel,
    checkpoint: Checkpoint,
    uncompressed: Checkpoint,
    export: ExportConfig,
    runtime: RuntimeConfig,
) -> dict[str, Any]:
    """Milliseconds of a window in ONNX Runtime, both models in turns in this process."""
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.export.check import time_exports as measure
    from tad_blockdrop.export.onnx import ExportError, open_session

    if checkpoint.window != uncompressed.window:
        raise ExportError(
            "export.checkpoint takes other windows than the uncompressed model of this "
            "experiment, so their speeds cannot be compared: run the export in its experiment "
            "(--params experiment=<name>)"
        )
    sessions = {
        "uncompressed": open_session(exported_uncompressed.onnx, runtime.threads),
        "exported": open_session(exported.onnx, runtime.threads),
    }
    table = measure(sessions, from_checkpoint(checkpoint), export.latency_repeats)
    times = (1000 * table.set_index("model")).round(3)
    before, after = times["median"]["uncompressed"], times["median"]["exported"]
    blocks = {
        "uncompressed": len(uncompressed.kept_blocks), "exported": len(checkpoint.kept_blocks)
    }  # fmt: skip
    logger.info(
        "ONNX Runtime, one window: %.1f ms with %d blocks, %.1f ms with %d (%+.0f %%)",
        before, blocks["uncompressed"], after, blocks["exported"], 100 * (after / before - 1),
    )  # fmt: skip
    return {
        "threads": runtime.threads,
        "repeats": export.latency_repeats,
        "blocks": blocks,
        "milliseconds": times.to_dict("index"),
        "ratio": round(float(after / before), 4),
    }
