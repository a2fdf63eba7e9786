"""A tiny detector with strong opinions and its export, which takes seconds and is made once."""

import pytest
import torch
from opinions import opinionated

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import weights_of
from tad_blockdrop.export.bundle import ExportedModel
from tad_blockdrop.pipelines.export.nodes import export_model

# Positions are interpolated (pretrain_size), pooling shrinks the grid, attention is local, a
# clip's mean is removed: all that could be traced wrongly.
DETECTOR = DetectorConfig.model_validate(
    {
        "backbone": {
            "width": 24, "depth": 3, "heads": 3, "patch": 8, "clip_frames": 8,
            "pretrain_size": 24, "remove_clip_mean": True,
        },
        "pyramid": {
            "width": 16, "heads": 2, "levels": 3, "stem_blocks": 1, "attention_window": 5,
            "positions": True,
        },
        "head": {"ranges": [[0, 4], [4, 8], [8, 10000]]},
    }
)  # fmt: skip
WINDOW = WindowConfig.model_validate(
    {"frames": 32, "grid": 8, "crop": 16, "short_side": 16, "overlap": 0.5}
)


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    """Two of three blocks, three classes."""
    model = opinionated(DETECTOR, 3, WINDOW, (0, 2), spread=0.2)
    return Checkpoint(
        weights=weights_of(model),
        detector=DETECTOR,
        kept_blocks=(0, 2),
        classes=("run", "jump", "swim"),
        window=WINDOW,
        every=1,
        fps=None,
        postprocess=PostprocessConfig(min_score=0.01, max_detections=60),
        lineage={"provenance": "made up"},
        metrics={"operating_point": {"run": 0.3, "jump": None, "swim": 0.4}},
    )


@pytest.fixture(scope="session")
def exported(checkpoint: Checkpoint) -> ExportedModel:
    return export_model(checkpoint, ExportConfig())


@pytest.fixture
def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 32, 16, 16, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def mask() -> torch.Tensor:
    """Full, nearly full and nearly empty windows."""
    return torch.arange(8) < torch.tensor([[8], [7], [1]])
