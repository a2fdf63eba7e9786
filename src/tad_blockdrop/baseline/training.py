"""Fine-tuning the uncompressed model on the ground truth; optional aids (docs/method.md §3)."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.baseline.init import dct_patch_init, xavier_init
from tad_blockdrop.compression.lora import add_lora, merge_lora
from tad_blockdrop.config import BaselineConfig, DataConfig, DetectorConfig, RuntimeConfig
from tad_blockdrop.detections.losses import DetectionLoss
from tad_blockdrop.detector.model import Detector, DetectorOutput
from tad_blockdrop.runtime.devices import seed_all, set_threads
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import train
from tad_blockdrop.video.windows.cutting import VideoRecord
from tad_blockdrop.video.windows.loading import Batch, TrainingWindows


def new_detector(
    config: DetectorConfig,
    n_classes: int,
    data: DataConfig,
    baseline: BaselineConfig,
    seed: int,
    kept_blocks: tuple[int, ...] | None = None,
) -> Detector:
    """A detector with random weights, initialised as ``baseline.aids`` says."""
    seed_all(seed)
    model = Detector(config, n_classes, data.window, kept_blocks)
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

    def __init__(self, model: Detector, dense_weight: float) -> None:
        super().__init__()
        self.detection = DetectionLoss(model.config.head)
        self.dense_weight = dense_weight
        # In a list, so that the model's parameters are not registered a second time here.
        self._model = [model]
        if dense_weight > 0:
            model.add_module("dense", nn.Linear(model.config.backbone.width, model.n_classes))

    def forward(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        """Terms ``cls``, ``reg``, (``dense``) and their sum ``total``."""
        model = self._model[0]
        output = model(batch.frames, batch.mask)
        found = self.detection(output, batch.segments, batch.labels, model.training)
        terms = {"cls": found["cls"], "reg": found["reg"]}
        if self.dense_weight > 0:
            terms["dense"] = self.dense_weight * self._dense(model, output, batch)
        terms["total"] = torch.stack(list(terms.values())).sum()
        return terms

    def detach(self) -> None:
        """Leave the model without the dense classifier."""
        if self.dense_weight > 0:
            self._model[0].__delattr__("dense")

    @staticmethod
    def _dense(model: Detector, output: DetectorOutput, batch: Batch) -> Tensor:
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
    records: list[VideoRecord],
    baseline: BaselineConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
    scratch: Path | None = None,
    validate: Callable[[nn.Module], float] | None = None,
) -> pd.DataFrame:
    """Fine-tune in place; the model ends plain (LoRA merged). Returns the history."""
    set_threads(runtime.threads)
    recipe = baseline.train
    if recipe.tuning == "lora":
        add_lora(model, recipe.lora, runtime.seed)
    loss = BaselineLoss(model, baseline.aids.dense_loss)
    freeze_for(model, recipe)
    history = train(
        model,
        loss,
        TrainingWindows(records, data, runtime.seed),
        recipe,
        runtime,
        scratch,
        validate,
        "baseline",
        identity={
            "aids": baseline.aids.model_dump(mode="json"),
            "data": data.model_dump(mode="json"),
        },
    )
    loss.detach()
    merge_lora(model)
    return history
