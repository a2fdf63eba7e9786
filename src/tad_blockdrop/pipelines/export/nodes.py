"""Thin nodes over ``export``. Heavy imports stand inside the functions."""

import logging
from dataclasses import asdict, replace
from operator import attrgetter
from typing import Any

import pandas as pd

from tad_blockdrop.config import DataConfig
from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.detector.checkpoint import Checkpoint, require_classes
from tad_blockdrop.detector.units import describe_blocks
from tad_blockdrop.export.bundle import ExportedModel
from tad_blockdrop.pipelines.baseline.checks import SEEN
from tad_blockdrop.pipelines.hints import Evaluator

logger = logging.getLogger(__name__)


def require_comparable(
    checkpoint: Checkpoint, uncompressed: Checkpoint, export: ExportConfig
) -> Checkpoint:
    """``export.checkpoint`` as it is, found to fit the experiment before any work.

    It is timed against the experiment's uncompressed model, and with ``export.int8`` rated on the
    experiment's videos. Raises ExportError for other windows or sampling, CheckpointError for other
    classes.
    """
    from tad_blockdrop.export.onnx import ExportError

    keys = [f"window.{key}" for key in SEEN]
    keys += ["every", "fps"] if export.int8 else []
    other = [key for key in keys if attrgetter(key)(checkpoint) != attrgetter(key)(uncompressed)]
    if other:
        raise ExportError(
            "export.checkpoint sees videos otherwise than the uncompressed model of this "
            f"experiment ({', '.join(f'data.{key}' for key in other)}), so they cannot be "
            "compared: run the export in its experiment (--params experiment=<name>)"
        )
    if export.int8:
        require_classes(checkpoint, uncompressed.classes, "export.checkpoint")
    return checkpoint


def state_provenance(checkpoint: Checkpoint, data: DataConfig) -> Checkpoint:
    """The model with what ``data.provenance`` says now, if it says anything.

    A model of another dataset, which ``export.checkpoint`` may name, keeps its own.
    """
    if not data.provenance or checkpoint.lineage.get("dataset") != data.name:
        return checkpoint
    return replace(checkpoint, lineage=checkpoint.lineage | {"provenance": data.provenance})


def export_model(checkpoint: Checkpoint, export: ExportConfig) -> ExportedModel:
    """The model as ONNX and torch.export files with their sidecar, unchecked.

    Blocks that were dropped are not in the files. A model of more than 2 GiB has no ONNX file.
    Raises ExportError.
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.export.onnx import to_onnx, too_large
    from tad_blockdrop.export.sidecar import sidecar
    from tad_blockdrop.export.torch_export import to_archive, trace

    model = from_checkpoint(checkpoint)
    reason = too_large(checkpoint.weights.values())
    if reason:
        logger.warning(
            "no ONNX file of the model of %s, only torch.export's: %s",
            describe_blocks(checkpoint.kept_blocks), reason,
        )  # fmt: skip
    program = trace(model)
    archive = to_archive(program)
    onnx = None if reason else to_onnx(program, export.opset)
    return ExportedModel(onnx, archive, sidecar(checkpoint, model.backbone, onnx is not None))


def export_models(
    checkpoint: Checkpoint, uncompressed: Checkpoint, export: ExportConfig
) -> tuple[ExportedModel, ExportedModel]:
    """Both models: the one to export, and the one that it is timed against."""
    return export_model(checkpoint, export), export_model(uncompressed, export)


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
    onnx, threads = exported.onnx, evaluator.runtime.config.threads
    parity = compare(
        checkpoint,
        None if onnx is None else open_session(onnx, threads),
        from_archive(exported.archive),
        evaluator.loader(test),
        test,
    )
    refuse_difference(parity, export.max_difference)
    logger.info("exports against PyTorch: %s", parity.words())
    facts = asdict(parity) | {"videos": len(test)}
    exported = replace(exported, card=model_card(checkpoint, facts))
    if not export.int8:
        return exported, facts
    if onnx is None:
        logger.warning("export.int8: skipped, as it is made of the ONNX file, and there is none")
        return exported, facts
    int8, rating = find_int8(onnx, checkpoint, evaluator, export.max_int8_loss)
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
    model's median). No rows where a model has no ONNX file.
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.export.check import time_exports as measure

    numbers = ["median", "low", "high"]
    columns = ["model", "blocks", *numbers, "ratio"]
    if exported.onnx is None or exported_uncompressed.onnx is None:
        logger.warning("the export is not timed, as one of the two models has no ONNX file")
        return pd.DataFrame(columns=columns)
    files = {"uncompressed": exported_uncompressed.onnx, "exported": exported.onnx}
    if exported.int8 is not None:
        files["int8"] = exported.int8
    table = measure(files, from_checkpoint(checkpoint), export.latency_repeats)
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
    return table[columns]
