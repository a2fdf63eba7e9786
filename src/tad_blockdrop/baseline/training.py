"""Fine-tuning the uncompressed model on the ground truth; optional aids (docs/method.md §3)."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.baseline.init import dct_patch_init, xavier_init
from tad_blockdrop.compression.lora import add_lora, merge_lora
from tad_blockdrop.config import BaselineConfig, DataConfig, DetectorConfig, deciding
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.model import Detector, Output
from tad_blockdrop.detector.shared_batch import SharedBatch
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.runtime.devices import seed_all
from tad_blockdrop.storage.resumable import fingerprint
from tad_blockdrop.tasks.contract import Task
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import Plan, train
from tad_blockdrop.video.windows.batches import Batch
from tad_blockdrop.video.windows.clips import shared_windows
from tad_blockdrop.video.windows.cutting import records_hash
from tad_blockdrop.video.windows.device import training_windows
from tad_blockdrop.video.windows.features import FeatureTraining, extract_features
from tad_blockdrop.video.windows.loading import EpochWindows


def new_detector(
    config: DetectorConfig, n_classes: int, data: DataConfig, baseline: BaselineConfig, seed: int
) -> Detector:
    """A detector with random weights, initialised as ``baseline.aids`` says."""
    seed_all(seed)
    model = Detector(config, n_classes, data.window)
    if baseline.aids.xavier_init:
        xavier_init(model)
    if baseline.aids.dct_patch_init:
        dct_patch_init(model)
    return model


class BaselineLoss(nn.Module):
    """Detection loss, plus the optional dense per-step classification of ``LearningAids``.

    The dense classifier reads the backbone's features directly, so that the backbone learns what
    happens at each step before the detector can tell it where actions begin and end. It is part
    of the training only: ``detach`` takes it off the model again.
    """

    def __init__(
        self, model: Detector, task: Task, dense_weight: float, group: Group = ALONE
    ) -> None:
        """In a ``group`` a batch holds own clips only, or the features of all."""
        super().__init__()
        self._shared = SharedBatch(model, group)
        self.supervised = task.loss()
        self.dense_weight = dense_weight
        # In a list, so that the model's parameters are not registered a second time here.
        self._model = [model]
        if dense_weight > 0:
            width = model.backbone.geometry.feature_width
            model.add_module("dense", nn.Linear(width, model.n_classes))

    def forward(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        """The task's terms, (``dense``) and their sum ``total``."""
        model = self._model[0]
        output = self._shared.output_of(model, batch)
        terms = dict(self.supervised(output, batch, model.training).terms)
        if self.dense_weight > 0:
            terms["dense"] = self.dense_weight * self._dense(model, output, batch)
        terms["total"] = torch.stack(list(terms.values())).sum()
        return terms

    def detach(self) -> None:
        """Leave the model without the dense classifier."""
        if self.dense_weight > 0:
            self._model[0].__delattr__("dense")

    @staticmethod
    def _dense(model: Detector, output: Output, batch: Batch) -> Tensor:
        """Binary cross-entropy of the classes under way at each valid step of the grid."""
        logits = model.get_submodule("dense")(output.features.transpose(1, 2))  # (B, grid, K)
        target = torch.zeros_like(logits)
        steps = torch.arange(logits.shape[1], device=logits.device) + 0.5
        for row, segments, labels in zip(target, batch.segments, batch.labels, strict=True):
            for (start, end), label in zip(segments.tolist(), labels.tolist(), strict=True):
                row[(steps >= start) & (steps <= end), label] = 1.0
        loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        # Actions are rare among steps x classes: count them as the rest.
        weight = torch.where(target > 0, float(model.n_classes), 1.0)
        return (loss * weight)[batch.mask].mean()


def train_baseline(
    model: Detector,
    baseline: BaselineConfig,
    evaluator: Evaluator,
    scratch: Path | None = None,
    label: str = "baseline",
) -> pd.DataFrame:
    """Fine-tune in place on the training videos; the model ends plain. Returns the history.

    ``scratch`` holds the state that an interrupted run goes on from. With ``tuning: frozen`` and
    features in the evaluator, the backbone does not run.
    """
    recipe, runtime, data = baseline.train, evaluator.runtime, evaluator.data
    if recipe.tuning == "lora":
        add_lora(model, recipe.lora, runtime.seed)
    videos = evaluator.dataset.records("train")
    task, group = evaluator.task(model, videos), runtime.group
    loss = BaselineLoss(model, task, baseline.aids.dense_loss, group)
    freeze_for(model, recipe)
    clip_frames = model.backbone.geometry.clip_frames
    if evaluator.features is None:
        windows = training_windows(videos, data, runtime.seed, runtime.device)
        dataset: EpochWindows = shared_windows(windows, clip_frames, group)
    else:
        dataset = FeatureTraining(videos, data, evaluator.features)
    facts = {
        "aids": baseline.aids.model_dump(mode="json"),
        "data": dataset.facts,
        **evaluator.training_facts(model),
    }
    plan = Plan(recipe, runtime, label, scratch, evaluator.held_out_map(), facts)
    history = train(model, loss, dataset, plan)
    loss.detach()
    merge_lora(model)
    return history


def with_frozen_features(model: Detector, evaluator: Evaluator, scratch: Path) -> Evaluator:
    """The evaluator with the features of ``model`` for all training and held-out windows.

    They are kept below ``scratch``, in a folder named after the weights and settings.
    """
    runtime, data = evaluator.runtime, evaluator.data
    videos = [v for split in ("train", "holdout") for v in evaluator.dataset.records(split)]
    facts = {
        "backbone": deciding("detector.backbone", model.backbone.config),
        "window": data.window.model_dump(mode="json"),
        "sampling": [data.every, data.fps],
        "proxy": None if data.proxy is None else data.proxy.model_dump(mode="json"),
        "precision": runtime.precision,
        "videos": records_hash(videos),
    }
    folder = scratch / "features" / fingerprint({"backbone": model.backbone}, facts)[:16]
    model.to(runtime.device).eval()

    def features_of(batch: Batch) -> Tensor:
        with torch.inference_mode(), runtime.autocast():
            moved = batch.to(runtime.device)
            output: Output = model(moved.frames, moved.mask)
        return output.features

    batch, group = evaluator.evaluation.batch, runtime.group
    extract_features(features_of, videos, data, folder, batch, runtime.workers, group)
    return replace(evaluator, features=folder)
