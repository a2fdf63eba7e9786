"""Nodes that several pipelines use. Heavy imports stand inside the functions."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
from kedro.pipeline import Node, Pipeline

from tad_blockdrop.config import DataConfig, EvaluationConfig, RuntimeConfig
from tad_blockdrop.detector.checkpoint import (
    Checkpoint,
    CheckpointError,
    read_newest,
    require_classes,
)
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.hints import Evaluator
from tad_blockdrop.pipelines.lineage import model_name
from tad_blockdrop.video.action_dataset import ActionDataset

logger = logging.getLogger(__name__)


class GivenCheckpointError(BlockDropError):
    """The checkpoint that a person named cannot be used."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Training ``history``, ``detections`` and ``metrics`` of some models, joined."""

    history: pd.DataFrame
    detections: pd.DataFrame
    metrics: pd.DataFrame


def make_evaluator(
    dataset: ActionDataset, data: DataConfig, evaluation: EvaluationConfig, runtime: RuntimeConfig
) -> Evaluator:
    """The dataset with the settings of its evaluation; this process is then ready for the work."""
    from tad_blockdrop.detections.evaluation import Evaluator
    from tad_blockdrop.jobs.evaluation import SharedEvaluator
    from tad_blockdrop.runtime.runtime import Runtime

    there = Runtime(runtime)
    kind = SharedEvaluator if there.devices > 1 else Evaluator
    return kind(dataset, data, evaluation, there)


def evaluator_pipeline() -> Pipeline:
    """``dataset`` and parameters -> ``evaluator``, in memory: whatever rates models needs it."""
    inputs = ["dataset", "params:data", "params:evaluation", "params:runtime"]
    return stage("data", node(make_evaluator, inputs, "evaluator"))


def evaluate_model(
    checkpoint: Checkpoint, evaluator: Evaluator, scratch: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections on the test videos, and their average precision (percent).

    Both tables carry ``model``, that of precision also ``videos``, how many were used; a skipped
    step has no detections and NaN for precision.
    """
    from tad_blockdrop.detector.model import from_checkpoint

    dataset, name = evaluator.dataset, model_name(checkpoint)
    require_classes(checkpoint, dataset.classes, name)
    described = {
        "model": name,
        "family": checkpoint.lineage["family"],
        "step": int(checkpoint.lineage["step"]),
        "dropped_block": checkpoint.lineage["dropped_block"],
        "kept_blocks": " ".join(map(str, checkpoint.kept_blocks)),
        "skipped": bool(checkpoint.lineage["skipped"]),
        "videos": dataset.coverage(set(dataset.in_split("test")["video_id"])),
    }
    if described["skipped"]:
        tious = evaluator.evaluation.tious
        unknown = pd.DataFrame({"label": "", "tiou": tious, "ap": float("nan")})
        return pd.DataFrame({"model": []}, dtype="str"), unknown.assign(**described)
    model = from_checkpoint(checkpoint, evaluator.runtime.device)
    detections, precision = evaluator.test(model, f"evaluating {name}", scratch)
    logger.info("%s: average mAP %.2f %%", name, precision["ap"].mean())
    return detections.assign(model=name), precision.assign(**described)


def join_tables(*tables: pd.DataFrame) -> pd.DataFrame:
    """All rows, in the order given; tables of skipped steps have none."""
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def read_given(folder: str | None, key: str) -> Checkpoint:
    """The checkpoint in a folder that a person named under ``key``, or the newest version there."""
    if folder is None:
        raise GivenCheckpointError(f"set {key} to the folder of a checkpoint")
    try:
        return read_newest(folder)
    except CheckpointError as error:
        raise GivenCheckpointError(f"{key}: {error}") from error


class MayNameModel(Protocol):
    """The settings of a pipeline that uses one model."""

    @property
    def checkpoint(self) -> str | None:
        """The folder of another model than the experiment's."""


def model_used(
    key: str, from_folder: bool, otherwise: str = "final_checkpoint"
) -> tuple[str, list[Node]]:
    """The entry of the model that the pipeline with the settings ``key`` uses, and its reader.

    ``from_folder``: whether it is that of ``<key>.checkpoint``, which a node reads; else it is the
    entry ``otherwise``, without a node.
    """

    def read_folder(settings: MayNameModel) -> Checkpoint:
        """The checkpoint in the folder ``<key>.checkpoint``, or the newest version below it."""
        return read_given(settings.checkpoint, f"{key}.checkpoint")

    if not from_folder:
        return otherwise, []
    model = f"{key}_checkpoint"
    return model, [node(read_folder, f"params:{key}", model)]
