"""An evaluator and checkpoints on their way to the processes of a job."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tad_blockdrop.config import DataConfig, EvaluationConfig, RuntimeConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.parallel.engines import run
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.parallel.job import Job, Work
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.video.action_dataset import ActionDataset

logger = logging.getLogger(__name__)


def processes_for(evaluator: Evaluator, parts: int, what: str) -> int:
    """How many processes can share work of ``parts`` parts (``what``: in words); it is said if
    that is fewer than there are devices."""
    devices = evaluator.runtime.devices
    if parts < devices:
        logger.info("%d of %d devices are used: there are only %d %s", parts, devices, parts, what)
    return max(1, min(devices, parts))


def share_out(
    work: Work,
    processes: int,
    evaluator: Evaluator,
    folder: Path,
    settings: Mapping[str, Any],
    **checkpoints: Checkpoint,
) -> None:
    """Do ``work``, a function of a module, with so many processes.

    It finds its inputs in ``folder``, which is emptied before: ``read_evaluator``, and each of
    ``checkpoints`` below its name. Raises WorkerFailedError.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    _write_evaluator(evaluator, folder, processes)
    for name, checkpoint in checkpoints.items():
        write_checkpoint(checkpoint, folder / name)
    job = Job(f"{work.__module__}:{work.__name__}", str(folder.resolve()), settings)
    run(job, processes, evaluator.runtime.config, evaluator.runtime.device.type == "cuda")


def as_checkpoint(model: Detector, evaluator: Evaluator) -> Checkpoint:
    """A model as its weights and what is needed to make it again."""
    data = evaluator.data
    return Checkpoint(
        weights_of(model), model.config, model.kept_units, tuple(evaluator.dataset.classes),
        model.window, data.every, data.fps, evaluator.evaluation.postprocess,
    )  # fmt: skip


def read_evaluator(folder: Path, group: Group) -> Evaluator:
    """The evaluator that a job was given, for this process of its group."""
    facts = json.loads((folder / "evaluator.json").read_text(encoding="utf-8"))
    return Evaluator(
        ActionDataset(
            read_parquet(folder / "videos.parquet"),
            read_parquet(folder / "instances.parquet"),
            tuple(facts["classes"]),
        ),
        DataConfig.model_validate(facts["data"]),
        EvaluationConfig.model_validate(facts["evaluation"]),
        Runtime(RuntimeConfig.model_validate(facts["runtime"]), group),
        Path(facts["features"]) if facts["features"] else None,
    )


def _write_evaluator(evaluator: Evaluator, folder: Path, processes: int) -> None:
    evaluator.dataset.videos.to_parquet(folder / "videos.parquet")
    evaluator.dataset.instances.to_parquet(folder / "instances.parquet")
    features = evaluator.features
    facts = {
        "classes": list(evaluator.dataset.classes),
        "data": evaluator.data.model_dump(mode="json"),
        "evaluation": evaluator.evaluation.model_dump(mode="json"),
        "runtime": evaluator.runtime.of_worker(processes).model_dump(mode="json"),
        "features": None if features is None else str(features.resolve()),
    }
    (folder / "evaluator.json").write_text(json.dumps(facts), encoding="utf-8")
