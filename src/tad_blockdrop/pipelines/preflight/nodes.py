"""Thin nodes over ``preflight``. Heavy imports stand inside the functions."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tad_blockdrop.config import Parameters
from tad_blockdrop.pipelines.costs import Meter, check_target
from tad_blockdrop.video.action_dataset import ActionDataset

logger = logging.getLogger(__name__)

DATA = Path("data")  # the folder that Kedro's layers are in


def run_preflight(accepted: ActionDataset, parameters: dict[str, Any]) -> dict[str, Any]:
    """Check weights, work on one window, and predict the whole job.

    The paths of ``accepted`` are those of the sources.
    """
    from tad_blockdrop.preflight import measuring as preflight
    from tad_blockdrop.preflight import report as reporting
    from tad_blockdrop.preflight.work import count_work
    from tad_blockdrop.runtime.runtime import Runtime
    from tad_blockdrop.video.dataset import source_frames

    settings = Parameters.model_validate(parameters)
    train, held_out, test = (accepted.records(split) for split in ("train", "holdout", "test"))
    model = preflight.given_model(settings, len(accepted.classes))
    if settings.compress.target is not None:
        size = model.config, model.n_classes, model.window
        repeats, runtime = settings.evaluation.latency_repeats, Runtime(settings.runtime)
        meter = Meter(settings.compress.target, *size, runtime, repeats)
        check_target(meter, model.kept_units, settings.compress)
    chosen = preflight.choose_record(train, settings.data).video_id
    mine = accepted.videos[accepted.videos["video_id"] == chosen]
    mine = mine.assign(source_frames=source_frames(mine, settings.data.clock))
    data = settings.data.model_copy(update={"picture_rate": float(mine["fps"].iloc[0])})
    settings = settings.model_copy(update={"data": data})
    (record,) = replace(accepted, videos=mine).records("train")
    report = reporting.run_preflight(
        model,
        record,
        count_work(train, held_out, test, settings),
        shutil.disk_usage(DATA).free,
        settings,
    )
    logger.info("%s", reporting.describe(report))
    return report


def refuse_obstacles(report: dict[str, Any]) -> None:
    """Raise PreflightError if memory or disk are too small."""
    from tad_blockdrop.preflight.measuring import PreflightError

    if report["obstacles"]:
        raise PreflightError(
            "this job cannot run on this machine:\n  " + "\n  ".join(report["obstacles"])
        )
