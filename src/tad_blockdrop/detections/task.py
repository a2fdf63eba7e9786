"""Temporal action detection as a task: its losses, what is distilled, and its metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from tad_blockdrop.config import AlignLossConfig, EvaluationConfig, HeadConfig, WindowConfig
from tad_blockdrop.detections.losses import DetectionLoss, DetectionTerms, diou_loss
from tad_blockdrop.detections.pooling import VideoPool
from tad_blockdrop.detector.heads.contract import decode
from tad_blockdrop.detector.model import DetectorOutput
from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.tasks.contract import DistillationTerm, Metric, Task
from tad_blockdrop.tasks.distillation import class_distillation, dkd_warmup
from tad_blockdrop.video.windows.batches import Batch
from tad_blockdrop.video.windows.cutting import VideoRecord


@dataclass(frozen=True, eq=False)
class DetectionTask(Task):
    """Finding actions in the videos of ``records``; ``classes`` are the model's."""

    head: HeadConfig
    window: WindowConfig
    records: Sequence[VideoRecord]
    classes: Sequence[str]
    evaluation: EvaluationConfig

    def loss(self) -> DetectionLoss:
        """Focal and DIoU losses."""
        return DetectionLoss(self.head)

    def distillation(
        self,
        config: AlignLossConfig,
        found: DetectorOutput,
        wanted: DetectorOutput,
        supervised: DetectionTerms,
        epoch: float,
    ) -> list[DistillationTerm]:
        """``kd_cls``: class scores of valid points; ``kd_reg``: segments of positive ones."""
        warmup = dkd_warmup(epoch, config.dkd_warmup) if config.kd_kind == "dkd" else 1.0

        def classes() -> Tensor:
            # A label-smoothed target is below 1 / (K + 1) for a class that is absent, else above.
            target = supervised.target[found.mask] > 1 / (found.logits.shape[-1] + 1)
            return class_distillation(
                config, found.logits[found.mask], wanted.logits[found.mask], target
            )

        def segments() -> Tensor:
            student = decode(found.points, found.offsets.float())[supervised.positive]
            teacher = decode(wanted.points, wanted.offsets.float())[supervised.positive]
            return segment_loss(student, teacher)

        return [
            DistillationTerm("kd_cls", warmup, classes), DistillationTerm("kd_reg", 1.0, segments)
        ]  # fmt: skip

    def metric(self) -> "MeanAveragePrecision":
        """Average mAP (percent) at ``evaluation.score_tious``."""
        return MeanAveragePrecision(self)

    def check_distillation(self, config: AlignLossConfig) -> None:
        """Raise ValueError for a distillation that says nothing about a detector of one class."""
        if len(self.classes) == 1 and config.kd_cls > 0 and config.kd_kind in ("kl", "dkd"):
            raise ValueError(
                f"compress.loss.kd_kind is '{config.kd_kind}', but the detector has one class: a "
                "softmax over one class is constant and the term would be zero; "
                "set compress.loss.kd_kind to null (or compress.loss.kd_cls to 0)"
            )


class MeanAveragePrecision(Metric):
    """Gathers detections window by window; see ``VideoPool`` for the order and the errors."""

    def __init__(self, task: DetectionTask) -> None:
        self._task = task
        self._pool = VideoPool(task.records, task.classes, task.window, task.evaluation.postprocess)

    def add(self, batch: Batch, output: DetectorOutput) -> None:
        """Take the model's output for a batch."""
        self._pool.add(batch.windows, output, batch.own)

    def value(self) -> float:
        """The average over classes and thresholds, in percent."""
        task = self._task
        table = average_precision(
            self._pool.detections(),
            instances_of(task.records, task.classes),
            [record.video_id for record in task.records],
            task.evaluation.score_tious,
        )
        return 100 * average_map(table)

    def state(self) -> dict[str, Tensor]:
        """All that was gathered."""
        return self._pool.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the metric that ``state`` was taken from."""
        self._pool.restore(state)

    def share(self, group: Group) -> None:
        """Hold the detections of all processes."""
        self._pool.share(group)


def segment_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean 1-D DIoU loss between segments [start, end], both (P, 2); zero for P = 0."""
    return diou_loss(student.float(), teacher.float()).sum() / max(len(student), 1)


def instances_of(videos: Sequence[VideoRecord], classes: Sequence[str]) -> pd.DataFrame:
    """The ground truth of ``videos`` as a table: video_id, start, end (s), label."""
    rows = [
        (video.video_id, float(start), float(end), classes[label])
        for video in videos
        for (start, end), label in zip(video.segments_seconds, video.labels, strict=True)
    ]
    return pd.DataFrame(rows, columns=["video_id", "start", "end", "label"])
