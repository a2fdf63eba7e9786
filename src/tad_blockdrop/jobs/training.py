"""Training in this process or by several devices, each with clips of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from tad_blockdrop.baseline import training
from tad_blockdrop.compression.alignment import align_model
from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.config import BaselineConfig, CompressConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint, weights_of
from tad_blockdrop.jobs.sharing import as_checkpoint, processes_for, read_evaluator, share_out
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.training.loop import Plan
from tad_blockdrop.video.windows.clips import shared_windows
from tad_blockdrop.video.windows.device import training_windows
from tad_blockdrop.video.windows.features import FeatureTraining
from tad_blockdrop.video.windows.loading import EpochWindows

HISTORY, TRAINED = "history.parquet", "trained.safetensors"


def train_baseline(
    model: Detector, baseline: BaselineConfig, evaluator: Evaluator, scratch: Path, label: str
) -> pd.DataFrame:
    """``baseline.training.train_baseline``; of a frozen backbone the rest by whole windows."""
    if evaluator.features is None:
        processes = _processes(evaluator, model)
    else:
        processes = processes_for(evaluator, baseline.train.batch, "windows in a batch")
    if processes == 1:
        return training.train_baseline(model, baseline, evaluator, scratch, label)
    settings = {
        "baseline": baseline.model_dump(mode="json"),
        "scratch": str(scratch.resolve()),
        "label": label,
        "random": torch.get_rng_state().tolist(),  # what is drawn next are weights of an aid
    }
    folder = scratch / "shared"
    given = as_checkpoint(model, evaluator)
    share_out(work_at_baseline, processes, evaluator, folder, settings, model=given)
    model.load_state_dict(load_file(folder / TRAINED))
    return read_parquet(folder / HISTORY)


def work_at_baseline(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of :func:`train_baseline` does."""
    evaluator = read_evaluator(folder, group)
    model = from_checkpoint(read_checkpoint(folder / "model"))
    baseline = BaselineConfig.model_validate(settings["baseline"])
    torch.set_rng_state(torch.tensor(settings["random"], dtype=torch.uint8))
    scratch, label = Path(settings["scratch"]), settings["label"]
    history = training.train_baseline(model, baseline, evaluator, scratch, label)
    _write(folder, group, model, history)


def with_frozen_features(model: Detector, evaluator: Evaluator, scratch: Path) -> Evaluator:
    """``baseline.training.with_frozen_features``, of which each device does some videos."""
    videos = sum(len(evaluator.dataset.records(split)) for split in ("train", "holdout"))
    processes = processes_for(evaluator, videos, "videos")
    if processes > 1:
        settings = {"scratch": str(scratch.resolve())}
        given = as_checkpoint(model, evaluator)
        share_out(work_at_features, processes, evaluator, scratch / "shared", settings, model=given)
    return training.with_frozen_features(model, evaluator, scratch)  # which finds their files


def work_at_features(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of :func:`with_frozen_features` does."""
    model = from_checkpoint(read_checkpoint(folder / "model"))
    training.with_frozen_features(model, read_evaluator(folder, group), Path(settings["scratch"]))


def align(
    shortened: Checkpoint,
    teacher: Checkpoint,
    evaluator: Evaluator,
    compress: CompressConfig,
    step: int,
    label: str,
    scratch: Path,
) -> tuple[Detector, pd.DataFrame]:
    """``shortened`` aligned with ``teacher`` by the recipe of ``step``, and the history.

    The model still has its LoRA. With ``tuning: frozen`` both backbones look at each window once.
    """
    model, recipe = from_checkpoint(shortened), compress.recipe(step)
    taught: Path | None = None
    if recipe.tuning == "frozen":
        taught = with_frozen_features(from_checkpoint(teacher), evaluator, scratch).features
        evaluator = with_frozen_features(model, evaluator, scratch)
        processes = processes_for(evaluator, recipe.batch, "windows in a batch")
    else:
        processes = _processes(evaluator, model)
    if processes == 1:
        return model, _align(model, teacher, evaluator, compress, step, label, scratch, taught)
    settings = {
        "compress": compress.model_dump(mode="json"),
        "scratch": str(scratch.resolve()),
        "step": step,
        "label": label,
        "taught": None if taught is None else str(taught.resolve()),
    }
    folder = scratch / "shared"
    share_out(
        work_at_alignment, processes, evaluator, folder, settings,
        shortened=shortened, teacher=teacher,
    )  # fmt: skip
    if recipe.tuning == "lora":
        add_lora(model, recipe.lora, evaluator.runtime.seed)
    model.load_state_dict(load_file(folder / TRAINED))
    return model, read_parquet(folder / HISTORY)


def work_at_alignment(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of :func:`align` does."""
    model = from_checkpoint(read_checkpoint(folder / "shortened"))
    history = _align(
        model,
        read_checkpoint(folder / "teacher"),
        read_evaluator(folder, group),
        CompressConfig.model_validate(settings["compress"]),
        settings["step"],
        settings["label"],
        Path(settings["scratch"]),
        Path(settings["taught"]) if settings["taught"] else None,
    )
    _write(folder, group, model, history)


def _align(
    model: Detector,
    teacher: Checkpoint,
    evaluator: Evaluator,
    compress: CompressConfig,
    step: int,
    label: str,
    scratch: Path,
    taught: Path | None,
) -> pd.DataFrame:
    recipe = compress.recipe(step)
    videos = evaluator.dataset.records("train")
    runtime = evaluator.runtime.with_seed(evaluator.runtime.seed + step)
    if evaluator.features is None:
        windows = training_windows(videos, evaluator.data, runtime.seed, runtime.device)
        clip_frames = model.backbone.geometry.clip_frames
        dataset: EpochWindows = shared_windows(windows, clip_frames, runtime.group)
    else:
        dataset = FeatureTraining(videos, evaluator.data, evaluator.features, taught)
    facts = evaluator.training_facts(model)
    plan = Plan(recipe, runtime, label, scratch, evaluator.held_out_map(), facts)
    task = evaluator.task(model, videos)
    return align_model(model, from_checkpoint(teacher), task, dataset, compress.settled_loss, plan)


def _processes(evaluator: Evaluator, model: Detector) -> int:
    """At most one for each clip of a window, so that none is without in the smallest batch."""
    clips = evaluator.data.window.frames // model.backbone.geometry.clip_frames
    return processes_for(evaluator, clips, "clips in a window")


def _write(folder: Path, group: Group, model: Detector, history: pd.DataFrame) -> None:
    if group.rank == 0:
        save_file(weights_of(model), folder / TRAINED)
        history.to_parquet(folder / HISTORY)
