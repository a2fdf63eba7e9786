"""A tiny detector, dataset and loss, so that the loop runs in a second."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tad_blockdrop.config import (
    DataConfig,
    DetectorConfig,
    RuntimeConfig,
    TrainConfig,
    WindowConfig,
)
from tad_blockdrop.detections.losses import DetectionLoss
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.video.windows.batches import Batch, LoadedWindow
from tad_blockdrop.video.windows.cutting import Window
from tad_blockdrop.video.windows.loading import EpochWindows

RUNTIME = RuntimeConfig(seed=3, device="cpu", workers=0, threads=1)
WINDOW = WindowConfig(frames=16, grid=8, crop=16, short_side=16)
DETECTOR = DetectorConfig.model_validate(
    {
        "backbone": {
            "width": 16, "depth": 3, "heads": 2, "patch": 8, "tubelet": 2, "clip_frames": 8,
            "pretrain_size": 16,
        },
        "pyramid": {"width": 8, "heads": 2, "stem_blocks": 1, "levels": 2},
        "head": {"tower_layers": 1, "ranges": [(0, 4), (4, 100)], "loss_normaliser": 5},
    }
)  # fmt: skip


def train_config(**changes: Any) -> TrainConfig:
    """Four epochs with rates that move the weights visibly."""
    settings: dict[str, Any] = {
        "epochs": 4, "stop": 4, "warmup": 1, "batch": 2, "lr_backbone": 1e-3, "lr_detector": 1e-2,
    }  # fmt: skip
    return TrainConfig.model_validate(settings | changes)


def detector(seed: int = 0) -> Detector:
    """A new detector with three classes, the same for the same seed."""
    torch.manual_seed(seed)
    return Detector(DETECTOR, 3, WINDOW)


class NoiseWindows(EpochWindows):
    """Windows of noise, a function of (epoch, index); each is a video of its own."""

    def __init__(self, length: int = 5) -> None:
        super().__init__([], DataConfig(every=1, window=WINDOW))
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: tuple[int, int]) -> LoadedWindow:
        epoch, index = key
        rng = np.random.default_rng((epoch, index))
        frames = rng.integers(0, 255, (WINDOW.frames, 16, 16, 3), dtype=np.uint8)
        window = Window(
            f"video_{index}", 0, np.arange(16), 16,
            np.array([[1, 3 + index % 4]], dtype=np.float32), np.array([index % 3]),
        )  # fmt: skip
        return LoadedWindow(window, torch.from_numpy(frames), torch.ones(8, dtype=torch.bool))


class SmallLoss(nn.Module):
    """The detection loss, with its normaliser as a buffer."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.model = [model]  # in a list: not a submodule
        self.detection = DetectionLoss(DETECTOR.head)

    def forward(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        """cls, reg and their sum."""
        output = self.model[0](batch.frames, batch.mask)
        terms = self.detection(output, batch, training=True).terms
        return {"total": terms["cls"] + terms["reg"], **terms}


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether both hold the same names with bit-identical tensors."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
