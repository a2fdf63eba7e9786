"""A repair, in this process or by several devices, each with some of the clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file, save_file
from torch import Tensor

from tad_blockdrop.compression.read_out import read_features, refit_read_out, windows_for
from tad_blockdrop.compression.refitting import shares, warn_of_left_out
from tad_blockdrop.compression.repair import calibration_clips, repair_model
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint, weights_hash
from tad_blockdrop.detector.model import from_checkpoint, weights_of
from tad_blockdrop.jobs.sharing import processes_for, read_evaluator, share_out
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.video.windows.cutting import VideoRecord

WEIGHTS, ROWS = "repaired.safetensors", "rows.parquet"


def repair(
    dropped: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    config: RepairConfig,
    scratch: Path,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """``compression.repair.repair_model`` of ``dropped``: its weights, and a row per layer."""
    processes = processes_for(evaluator, *shares(len(_videos(evaluator, config))))
    if processes == 1:
        return _repair(dropped, uncompressed, evaluator, config, scratch)
    settings = {"repair": config.model_dump(mode="json"), "scratch": str(scratch.resolve())}
    folder = scratch / "shared"
    share_out(
        work, processes, evaluator, folder, settings, dropped=dropped, uncompressed=uncompressed
    )
    return load_file(folder / WEIGHTS), read_parquet(folder / ROWS)


def work(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of :func:`repair` does."""
    weights, rows = _repair(
        read_checkpoint(folder / "dropped"),
        read_checkpoint(folder / "uncompressed"),
        read_evaluator(folder, group),
        RepairConfig.model_validate(settings["repair"]),
        Path(settings["scratch"]),
    )
    if group.rank == 0:
        save_file(weights, folder / WEIGHTS)
        rows.to_parquet(folder / ROWS)


def calibration_loader(evaluator: Evaluator, config: RepairConfig) -> Any:
    """Test windows of the training videos that a repair looks at, those of this process."""
    return evaluator.own_loader(_videos(evaluator, config), config.windows)


def _videos(evaluator: Evaluator, config: RepairConfig) -> list[VideoRecord]:
    return evaluator.dataset.records("train")[: config.videos]


def _repair(
    dropped: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    config: RepairConfig,
    scratch: Path,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    runtime = evaluator.runtime
    model, teacher = (from_checkpoint(c, runtime.device) for c in (dropped, uncompressed))
    clips = calibration_clips(model, calibration_loader(evaluator, config), config.clips)
    kept = evaluator.scratch(
        scratch, model, _videos(evaluator, config), alike=True,
        teacher=weights_hash(uncompressed.weights), repair=config.model_dump(mode="json"),
    )  # fmt: skip
    with runtime.autocast():
        rows = repair_model(model, teacher, clips, config, kept, runtime.group)
        if config.read_out:
            loader = evaluator.own_loader(
                _videos(evaluator, config), windows_for(config, evaluator.data.window.grid)
            )
            features = read_features(model, teacher, loader, runtime.group)
            refits = refit_read_out(model, teacher, features, config.ridge)
            rows = pd.concat([rows, pd.DataFrame(map(asdict, refits))], ignore_index=True)
            rows = rows.astype(dict.fromkeys(("block", "branch", "taken"), "Int64"))
    warn_of_left_out(rows["left_out"], runtime.group)
    return weights_of(model), rows
