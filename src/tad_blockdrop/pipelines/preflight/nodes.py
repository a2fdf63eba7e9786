"""Thin nodes over ``training.preflight``. Heavy imports stand inside the functions."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.config import Parameters

logger = logging.getLogger(__name__)

DATA = Path("data")  # the folder that Kedro's layers are in


def run_preflight(
    videos: pd.DataFrame, instances: pd.DataFrame, classes: list[str], parameters: dict[str, Any]
) -> dict[str, Any]:
    """Check weights, work on one window, and predict the whole job.

    ``videos`` are the checked ones, whose paths are those of the sources.
    """
    from tad_blockdrop.preflight import measuring as preflight
    from tad_blockdrop.preflight.forecast import count_work
    from tad_blockdrop.video.dataset import source_frames
    from tad_blockdrop.video.windows.cutting import records

    settings = Parameters.model_validate(parameters)
    train, held_out, test = (
        records(videos, instances, classes, split) for split in ("train", "holdout", "test")
    )
    model = preflight.given_model(settings, len(classes))
    chosen = preflight.choose_record(train, settings.data).video_id
    mine = videos[videos["video_id"] == chosen]
    mine = mine.assign(source_frames=source_frames(mine))
    (record,) = records(mine, instances, classes, "train")
    report = preflight.run_preflight(
        model,
        record,
        count_work(train, held_out, test, settings),
        shutil.disk_usage(DATA).free,
        settings,
    )
    logger.info("%s", preflight.describe(report))
    return report


def refuse_obstacles(report: dict[str, Any]) -> None:
    """Raise PreflightError if memory or disk will not do."""
    from tad_blockdrop.preflight.measuring import PreflightError

    if report["obstacles"]:
        raise PreflightError("this job will not do here:\n  " + "\n  ".join(report["obstacles"]))
