"""A detector that says something without having been trained."""

from collections.abc import Sequence

import torch

from tad_blockdrop.config import DetectorConfig, WindowConfig
from tad_blockdrop.detector.model import Detector


def opinionated(
    config: DetectorConfig, n_classes: int, window: WindowConfig, kept: Sequence[int], spread: float
) -> Detector:
    """Random weights, moved by ``spread``: scores that differ, segments of some length."""
    torch.manual_seed(0)
    model = Detector(config, n_classes, window, kept)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
        assert model.head.classify.bias is not None
        assert model.head.regress.bias is not None
        model.head.classify.bias.fill_(-2)
        model.head.regress.bias.fill_(0.7)
    return model
