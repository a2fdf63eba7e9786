"""Compression and training know no segments: they shorten a classifier of pictures as well."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.compression.alignment import align_model
from tad_blockdrop.compression.dropping import choose_block
from tad_blockdrop.compression.lora import merge_lora
from tad_blockdrop.compression.ranking import score_blocks
from tad_blockdrop.config import (
    AlignLossConfig,
    CompressConfig,
    RuntimeConfig,
    TimmConfig,
    TrainConfig,
)
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.model import BlockModel, Output
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.tasks.contract import DistillationTerm, Metric, Supervised, Task
from tad_blockdrop.tasks.distillation import class_distillation
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import Plan, train

SIDE, CLASSES, BATCHES = 64, 3, 6
BACKBONE = TimmConfig(model="test_vit")
RUNTIME = Runtime(RuntimeConfig(device="cpu", threads=1, workers=0))
DEPTH = BACKBONE.geometry.depth


# --- the task ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassOutput(Output):
    logits: Tensor


class Classifier(BlockModel):
    grid = 1

    def __init__(self, kept_blocks: Sequence[int]) -> None:
        super().__init__()
        self.backbone = make_backbone(BACKBONE, SIDE, kept_blocks)
        self.head = nn.Linear(BACKBONE.geometry.feature_width, CLASSES)

    def read_out(self, features: Tensor, mask: Tensor) -> ClassOutput:
        return ClassOutput(features=features, logits=self.head(features.mean(dim=2)))


class CrossEntropy(nn.Module):
    def forward(self, output: ClassOutput, batch: "Batch", training: bool) -> Supervised:
        loss = functional.cross_entropy(output.logits, batch.labels)
        return Supervised({"cls": loss}, torch.tensor(len(batch.labels)))


class Accuracy(Metric):
    def __init__(self) -> None:
        self.right = self.all = 0

    def add(self, batch: "Batch", output: ClassOutput) -> None:
        self.right += int((output.logits.argmax(dim=1) == batch.labels).sum())
        self.all += len(batch.labels)

    def value(self) -> float:
        return 100 * self.right / self.all

    def state(self) -> dict[str, Tensor]:
        return {"counts": torch.tensor([self.right, self.all])}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.right, self.all = state["counts"].tolist()


class Classification(Task):
    def loss(self) -> nn.Module:
        return CrossEntropy()

    def distillation(
        self,
        config: AlignLossConfig,
        found: ClassOutput,
        wanted: ClassOutput,
        supervised: Supervised,
        epoch: float,
    ) -> list[DistillationTerm]:
        def classes() -> Tensor:
            target = functional.one_hot(wanted.logits.argmax(dim=1), CLASSES).bool()
            return class_distillation(config, found.logits, wanted.logits, target)

        return [DistillationTerm("kd_cls", 1.0, classes)]

    def metric(self) -> Metric:
        return Accuracy()


# --- its data ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Pictures with stripes: upright, level or none."""

    frames: Tensor
    mask: Tensor
    labels: Tensor
    features: None = None
    own: slice = field(default_factory=lambda: slice(0, None))

    @property
    def names(self) -> list[str]:
        return ["picture"] * len(self.labels)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        return replace(self, frames=self.frames.to(device), labels=self.labels.to(device))


class Pictures:
    """Six batches of eight pictures, other ones in every epoch; also a loader of itself."""

    facts: Mapping[str, Any] = {}
    quicker = ""

    def __init__(self, seed: int) -> None:
        self.seed, self.number = seed, 0

    def __len__(self) -> int:
        return BATCHES

    def set_epoch(self, epoch: int) -> None:
        self.number = epoch

    def loader(self, batch: int, workers: int, seed: int) -> "Pictures":
        return self

    def __iter__(self) -> Iterator[Batch]:
        random = torch.Generator().manual_seed(1000 * self.seed + self.number)
        wave = 90 * torch.sin(torch.arange(SIDE) * 0.8)
        shapes = torch.stack([wave.expand(SIDE, SIDE), wave[:, None].expand(SIDE, SIDE),
                              torch.zeros(SIDE, SIDE)])  # fmt: skip
        for _ in range(BATCHES):
            labels = torch.randint(CLASSES, (8,), generator=random)
            noise = 30 * torch.randn(8, 1, SIDE, SIDE, 3, generator=random)
            frames = shapes[labels][:, None, :, :, None] + 128 + noise
            yield Batch(frames.clamp(0, 255).byte(), torch.ones(8, 1, dtype=torch.bool), labels)


def recipe(epochs: int, rate: float, **more: Any) -> TrainConfig:
    settings = {"epochs": epochs, "stop": epochs, "warmup": 0.5, "batch": 8, "keep": "last",
                "lr_backbone": rate, "lr_detector": rate, "ema": 0.5}  # fmt: skip
    return TrainConfig.model_validate(settings | more)


def accuracy(model: Classifier) -> float:
    metric = Accuracy()
    with torch.inference_mode():
        for batch in Pictures(seed=9):
            metric.add(batch, model.eval()(batch.frames, batch.mask))
    return metric.value()


@pytest.fixture(scope="module")
def teacher() -> Classifier:
    torch.manual_seed(0)
    model, loss, settings = Classifier(range(DEPTH)), CrossEntropy(), recipe(6, 2e-3, tuning="full")
    freeze_for(model, settings)

    def total(batch: Batch, epoch: float) -> dict[str, Tensor]:
        found = loss(model(batch.frames, batch.mask), batch, training=True)
        return {**found.terms, "total": found.terms["cls"]}

    train(model, total, Pictures(seed=1), Plan(settings, RUNTIME, "classifier"))
    return model


def test_the_classifier_learned(teacher: Classifier) -> None:
    assert accuracy(teacher) > 90


@pytest.mark.parametrize("criterion", ["train_map", "train_loss", "block_mse"])
def test_a_block_is_ranked_dropped_and_the_rest_aligned(
    teacher: Classifier, criterion: str
) -> None:
    compress = CompressConfig(criterion=criterion, n_drops=1)
    table = score_blocks(teacher, Pictures(seed=2), Classification(), compress)
    assert sorted(table["block"]) == list(range(DEPTH))
    dropped = choose_block(table).block
    student = Classifier([i for i in range(DEPTH) if i != dropped])
    student.load_state_dict(
        {name: teacher.state_dict()[name].clone() for name in student.state_dict()}
    )
    loss = AlignLossConfig(reg=0, kd_reg=0, mid=1.0, out_rel=1.0)
    history = align_model(
        student, teacher, Classification(), Pictures(seed=3), loss,
        Plan(recipe(3, 1e-3, lora={"rank": 8}), RUNTIME, "step_01"),
    )  # fmt: skip
    merge_lora(student)
    assert {"cls", "out", "mid", "out_rel", "kd_cls", "total"} <= set(history.columns)
    assert history["out"].iloc[-1] < history["out"].iloc[0]
    assert student.kept_blocks == tuple(i for i in range(DEPTH) if i != dropped)
    assert accuracy(student) > 90
