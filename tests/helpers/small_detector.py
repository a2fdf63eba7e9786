"""Fixtures (a pytest plugin): a detector that runs in milliseconds, and windows for it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tad_blockdrop.config import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DetectorConfig,
    VideoMAEConfig,
    WindowConfig,
)
from tad_blockdrop.detector.model import Detector

GRID = 32


@pytest.fixture
def config() -> DetectorConfig:
    return DetectorConfig(
        backbone=VideoMAEConfig(width=24, depth=4, heads=3, patch=8, clip_frames=8, mlp_ratio=3),
        pyramid=AttentionNeckConfig(width=16, heads=2, levels=3, embed_layers=3, stem_blocks=1),
        head=AnchorFreeConfig(ranges=((0, 4), (4, 8), (8, 10000))),
    )


@pytest.fixture
def window() -> WindowConfig:
    return WindowConfig(frames=GRID, grid=GRID, crop=16, short_side=16)


@pytest.fixture
def coarse_window(window: WindowConfig) -> WindowConfig:
    """Two frames for each step of the grid."""
    return window.model_copy(update={"grid": GRID // 2})


@pytest.fixture
def model(
    config: DetectorConfig, window: WindowConfig, loud: Callable[[nn.Module], None]
) -> Detector:
    """Five classes."""
    detector = Detector(config, 5, window).eval()
    loud(detector)
    return detector


@pytest.fixture
def frames() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, GRID, 16, 16, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def mask() -> Tensor:
    """The first window is full, the second has 21 valid steps."""
    return torch.arange(GRID) < torch.tensor([[GRID], [21]])


@pytest.fixture
def loud() -> Callable[[nn.Module], None]:
    """Sets random values everywhere, so that no branch of a network is close to the identity."""

    @torch.no_grad()
    def randomise(model: nn.Module) -> None:
        generator = torch.Generator().manual_seed(2)
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            is_gain = value.ndim == 1 and not name.endswith("bias")
            value.copy_(1 + 0.1 * noise if is_gain else 0.2 * noise)

    return randomise
