"""The detection loss: sigmoid focal loss for classes, distance IoU for segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from tad_blockdrop.config import HeadConfig
from tad_blockdrop.detections.targets import assign
from tad_blockdrop.detector.heads.contract import decode
from tad_blockdrop.detector.model import DetectorOutput
from tad_blockdrop.tasks.contract import Supervised

EPSILON = 1e-8  # squared grid steps: no division by the length of empty segments


@dataclass(frozen=True, eq=False)
class DetectionTerms(Supervised):
    """The terms ``cls`` and ``reg`` (scalars) and what they were computed against.

    ``positive`` (B, P) bool: valid points that own a segment; ``target`` (B, P, K): class
    targets after label smoothing.
    """

    positive: Tensor
    target: Tensor


def focal_loss(logits: Tensor, target: Tensor, alpha: float, gamma: float) -> Tensor:
    """Element-wise sigmoid focal loss (RetinaNet, arXiv 1708.02002); targets may be soft."""
    probability = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    miss = probability * (1 - target) + (1 - probability) * target
    weight = alpha * target + (1 - alpha) * (1 - target)
    return weight * miss**gamma * entropy


def diou_loss(segments: Tensor, target: Tensor) -> Tensor:
    """Element-wise distance-IoU loss of segments (..., 2) against targets (..., 2) -> (...).

    ``1 − IoU + (centre distance)² / (enclosing length)²`` (DIoU, arXiv 1911.08287, in 1-D).
    Segments must have start <= end.
    """
    start, end = segments.unbind(-1)
    target_start, target_end = target.unbind(-1)
    inner = (torch.minimum(end, target_end) - torch.maximum(start, target_start)).clamp(min=0)
    union = (end - start) + (target_end - target_start) - inner
    enclosing = torch.maximum(end, target_end) - torch.minimum(start, target_start)
    centre = 0.5 * (start + end - target_start - target_end)
    distance = centre.square() / enclosing.square().clamp(min=EPSILON)
    return 1 - inner / union.clamp(min=EPSILON) + distance


class Targeted(Protocol):
    """What the loss takes of a batch: per window segments (G, 2) in grid steps, labels (G,)."""

    @property
    def segments(self) -> Sequence[Tensor]: ...
    @property
    def labels(self) -> Sequence[Tensor]: ...


class DetectionLoss(nn.Module):
    """Focal and DIoU losses over the points of a batch, with their normaliser.

    Both sums are divided by the number of positives: in training by its moving average, which
    steadies small batches, in evaluation by the number itself (at least 1). The average is a
    buffer of this module, so it is saved with the state of a training run but is no part of the
    detector's weights.
    """

    normaliser: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("normaliser", torch.tensor(config.loss_normaliser))

    def forward(self, output: DetectorOutput, batch: Targeted, training: bool) -> DetectionTerms:
        """Loss of B windows; ``training`` selects, and advances, the normaliser's average."""
        config = self.config
        logits, n_classes = output.logits.float(), output.logits.shape[-1]
        segments = pad_sequence(list(batch.segments), batch_first=True)
        labels = pad_sequence(list(batch.labels), batch_first=True)
        targets = assign(output.points, segments, labels, n_classes, config)
        positive = targets.positive & output.mask
        count = self._count(positive, training)
        smooth = config.label_smoothing
        target = targets.cls * (1 - smooth) + smooth / (n_classes + 1)
        focal = focal_loss(logits, target, config.focal_alpha, config.focal_gamma)
        found = decode(output.points, output.offsets.float())[positive]
        wanted = decode(output.points, targets.offsets)[positive]
        return DetectionTerms(
            terms={
                "cls": focal[output.mask].sum() / count,
                "reg": config.regression_weight * diou_loss(found, wanted).sum() / count,
            },
            count=positive.sum(),
            positive=positive,
            target=target,
        )

    def _count(self, positive: Tensor, training: bool) -> Tensor:
        count = positive.sum().clamp(min=1).to(self.normaliser.dtype)
        if not training:
            return count
        self.normaliser.lerp_(count, 1 - self.config.loss_normaliser_momentum)
        return self.normaliser.clone()
