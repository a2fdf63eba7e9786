"""Thin nodes over ``export``. Heavy imports stand inside the functions."""

import logging
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import describe_blocks
from tad_blockdrop.export.bundle import ExportedModel
from tad_blockdrop.pipelines.hints import Evaluator

logger = logging.getLogger(__name__)


def export_model(checkpoint: Checkpoint, export: ExportConfig) -> ExportedModel:
    """The model as ONNX and torch.export files with their sidecar, unchecked.

    Blocks that were dropped are not in the files. Raises ExportError.
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.export.onnx import to_onnx
    from tad_blockdrop.export.sidecar import sidecar
    from tad_blockdrop.export.torch_export import to_archive, trace

    model = from_checkpoint(checkpoint)
    program = trace(model)
    archive = to_archive(program)
    return ExportedModel(
        to_onnx(program, export.opset), archive, sidecar(checkpoint, model.backbone)
    )


def check_export(
    exported: ExportedModel, checkpoint: Checkpoint, evaluator: Evaluator, export: ExportConfig
) -> tuple[ExportedModel, dict[str, Any]]:
    """Compare the exports with PyTorch on windows of the first ``check_videos`` test videos.

    Returns the export, now checked, with its model card, and with its int8 file if that is asked
    for and good enough; and the differences. Raises ExportError if they exceed
    ``export.max_difference``.
    """
    from tad_blockdrop.export.card import model_card
    from tad_blockdrop.export.check import compare, refuse_difference
    from tad_blockdrop.export.int8 import add_int8, find_int8
    from tad_blockdrop.export.onnx import open_session
    from tad_blockdrop.export.torch_export import from_archive

    own_windows = evaluator.data.model_copy(update={"window": checkpoint.window})
    evaluator = replace(evaluator, data=own_windows, features=None)
    test = evaluator.dataset.records("test")[: export.check_videos]
    parity = compare(
        checkpoint,
        open_session(exported.onnx, evaluator.runtime.config.threads),
        from_archive(exported.archive),
        evaluator.loader(test),
        test,
    )
    refuse_difference(parity, export.max_difference)
    logger.info(
        "exports against PyTorch on %d windows: logits differ by at most %.1e (ONNX) and %.1e "
        "(torch.export); %.2f %% of %d detections are the same to 2 decimals",
        parity.windows, parity.onnx_logits, parity.archive_logits,
        100 * parity.same, parity.detections,
    )  # fmt: skip
    facts = asdict(parity) | {"videos": len(test)}
    exported = replace(exported, card=model_card(checkpoint, facts))
    if not export.int8:
        return exported, facts
    int8, rating = find_int8(exported.onnx, checkpoint, evaluator, export.max_int8_loss)
    with_int8 = add_int8(exported, int8, rating, export.max_int8_loss)
    return with_int8, facts | {"int8": asdict(rating) | {"written": with_int8.int8 is not None}}


def time_exports(
    exported: ExportedModel,
    exported_uncompressed: ExportedModel,
    checkpoint: Checkpoint,
    uncompressed: Checkpoint,
    export: ExportConfig,
) -> pd.DataFrame:
    """Milliseconds of a window in ONNX Runtime on one thread, all models in turns.

    Columns model, blocks, median, low, high (ms, with the quartiles), ratio (to the uncompressed
    model's median).
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.export.check import time_exports as measure
    from tad_blockdrop.export.onnx import ExportError

    if checkpoint.window != uncompressed.window:
        raise ExportError(
            "export.checkpoint takes other windows than the uncompressed model of this "
            "experiment, so their speeds cannot be compared: run the export in its experiment "
            "(--params experiment=<name>)"
        )
    files = {"uncompressed": exported_uncompressed.onnx, "exported": exported.onnx}
    if exported.int8 is not None:
        files["int8"] = exported.int8
    table = measure(files, from_checkpoint(checkpoint), export.latency_repeats)
    numbers = ["median", "low", "high"]
    table[numbers] = (1000 * table[numbers]).round(3)
    kept = dict.fromkeys(files, checkpoint.kept_blocks) | {"uncompressed": uncompressed.kept_blocks}
    table["blocks"] = [len(kept[name]) for name in table["model"]]
    before = table.set_index("model")["median"]["uncompressed"]
    table["ratio"] = (table["median"] / before).round(4)
    for row in table.itertuples():
        logger.info(
            "ONNX Runtime, one window, one thread, %s (%s): %.1f ms, half of them %.1f to "
            "%.1f; %.2f of the uncompressed model",
            row.model, describe_blocks(kept[str(row.model)]),
            row.median, row.low, row.high, row.ratio,
        )  # fmt: skip
    return table[["model", "blocks", *numbers, "ratio"]]
