"""A detector that runs in milliseconds and windows for it."""

import pytest

from tad_blockdrop.config import DetectorConfig, WindowConfig


@pytest.fixture
def config() -> DetectorConfig:
    return DetectorConfig.model_validate(
        {
            "backbone": {
                "width": 24,
                "depth": 4,
                "heads": 3,
                "patch": 8,
                "clip_frames": 8,
                "mlp_ratio": 3,
            },
            "pyramid": {"width": 16, "heads": 2, "levels": 3, "embed_layers": 3, "stem_blocks": 1},
            "head": {"ranges": [[0, 4], [4, 8], [8, 10000]]},
        }
    )


@pytest.fixture
def window() -> WindowConfig:
    return WindowConfig.model_validate({"frames": 32, "grid": 16, "crop": 16, "short_side": 16})
