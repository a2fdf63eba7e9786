"""A public encoder, frames for it, and what of its size does not show in weights."""

import pytest
import torch
from public_layouts import (
    DEPTH,
    FRAMES,
    HEADS,
    LEVELS,
    NECK,
    PATCH,
    SIZE,
    WIDTH,
    encoder,
)
from torch import Tensor
from transformers import VideoMAEModel

from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DetectorConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.detector.model import Detector


@pytest.fixture(scope="session")
def public() -> VideoMAEModel:
    return encoder()


@pytest.fixture(scope="session")
def clips() -> Tensor:
    generator = torch.Generator().manual_seed(6)
    shape = (2, FRAMES, SIZE, SIZE, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture
def expected() -> DetectorConfig:
    return DetectorConfig(
        backbone=VideoMAEConfig(
            width=WIDTH,
            depth=DEPTH,
            heads=HEADS,
            mlp_ratio=2,
            patch=PATCH,
            clip_frames=FRAMES,
            pretrain_size=SIZE,
        ),
        pyramid=AttentionNeckConfig(
            width=NECK, heads=2, embed_layers=2, stem_blocks=1, levels=LEVELS, attention_window=5
        ),
        head=AnchorFreeConfig(ranges=((0, 4), (4, 8), (8, 10000))),
    )


@pytest.fixture
def window() -> WindowConfig:
    return WindowConfig(frames=16, grid=16, crop=SIZE, short_side=SIZE)


@pytest.fixture
def model(expected: DetectorConfig, window: WindowConfig) -> Detector:
    torch.manual_seed(7)
    return Detector(expected, 5, window).eval()
