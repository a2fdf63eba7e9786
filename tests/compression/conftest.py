"""A detector small enough to run in milliseconds, and windows for it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from shortening import without

from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DetectorConfig,
    EvaluationConfig,
    PostprocessConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.detections.task import DetectionTask
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.video.windows.batches import Batch
from tad_blockdrop.video.windows.cutting import VideoRecord, Window

WINDOW = WindowConfig(frames=32, grid=16, crop=16, short_side=16)
DETECTOR = DetectorConfig(
    backbone=VideoMAEConfig(width=16, depth=5, heads=2, patch=8, pretrain_size=16),
    pyramid=AttentionNeckConfig(width=8, heads=2, embed_layers=1, stem_blocks=0, levels=2),
    head=AnchorFreeConfig(tower_layers=1, ranges=((0, 4), (4, 10000))),
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_detector() -> Callable[..., Detector]:
    """Builds the small detector with weights large enough that every block matters."""

    def make(
        seed: int = 0,
        n_classes: int = 3,
        kept: Sequence[int] | None = None,
        config: DetectorConfig = DETECTOR,
    ) -> Detector:
        torch.manual_seed(seed)
        model = Detector(config, n_classes, WINDOW)
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        # segments of some length at every point
        torch.nn.init.constant_(model.head.regress.bias, 4.0)
        return without(model.eval(), set(model.kept_blocks) - set(kept or model.kept_blocks))

    return make


@pytest.fixture
def checkpoint(make_detector: Callable[..., Detector]) -> Checkpoint:
    """Of blocks 0, 2 and 3."""
    model = make_detector(kept=(0, 2, 3))
    return Checkpoint(
        weights=weights_of(model),
        detector=model.config,
        kept_blocks=model.kept_units,
        classes=("jump", "run", "throw"),
        window=model.window,
        every=4,
        fps=None,
        postprocess=PostprocessConfig(),
        lineage={"step": 2},
        metrics={"average_map": 71.0},
    )


@pytest.fixture
def batch() -> Batch:
    """Two windows: one with two actions, one padded and without any."""
    generator = torch.Generator().manual_seed(7)
    size = (2, WINDOW.frames, WINDOW.crop, WINDOW.crop, 3)
    frames = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    mask = torch.ones(2, WINDOW.grid, dtype=torch.bool)
    mask[1, 10:] = False
    segments = [torch.tensor([[1.0, 5.0], [6.0, 15.0]]), torch.zeros(0, 2)]
    labels = [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.int64)]
    windows = [
        Window("a", 0, np.arange(32), 32, segments[0].numpy(), labels[0].numpy()),
        Window("b", 0, np.minimum(np.arange(32), 19), 20, segments[1].numpy(), labels[1].numpy()),
    ]
    return Batch(frames, mask, segments, labels, windows)


@pytest.fixture
def task() -> DetectionTask:
    """Detection in the videos whose windows the batch holds: 8 samples a second, 2 a step."""
    actions = np.array([[1.0, 5.0], [6.0, 15.0]]) / 4
    records = [
        VideoRecord("a", "", 32, 8.0, 4.0, actions, np.array([0, 2])),
        VideoRecord("b", "", 20, 8.0, 2.5, np.zeros((0, 2)), np.zeros(0, np.int64)),
    ]
    evaluation = EvaluationConfig(score_tious=(0.1, 0.3))
    return DetectionTask(DETECTOR.head, WINDOW, records, ("jump", "run", "throw"), evaluation)
