"""Detectors that lost blocks, and repairs of them that were cut."""

from collections.abc import Callable, Collection
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from tad_blockdrop.compression import repair as repairing
from tad_blockdrop.compression.refitting import Walk
from tad_blockdrop.detector.model import Detector

Repaired = tuple[dict[str, Tensor], pd.DataFrame]


class CutError(Exception):
    """What stops a repair in the middle."""


def without(model: Detector, blocks: Collection[int]) -> Detector:
    """A detector that never had these blocks, with the weights and the mode of ``model``."""
    kept = [index for index in model.kept_blocks if index not in blocks]
    shorter = Detector(model.config, model.n_classes, model.window, kept).train(model.training)
    weights = model.state_dict()
    shorter.load_state_dict({name: weights[name] for name in shorter.state_dict()})
    return shorter


def clips(n: int, seed: int = 0) -> Tensor:
    """Noise of the size of tests/compression's detector."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 16, 16, 16, 3), generator=generator, dtype=torch.uint8)


def repaired_in_two(repair: Callable[[], Repaired], layers: int) -> Repaired:
    """What a repair gives that was cut after so many layers, and run again."""
    evidence, calls = Walk.evidence, iter(range(100))

    def look_or_cut(*given: Any) -> Any:
        if next(calls) == layers:
            raise CutError
        return evidence(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repairing, "SECONDS_BETWEEN_SAVES", 0.0)
        patch.setattr(Walk, "evidence", look_or_cut)
        with pytest.raises(CutError):
            repair()
    return repair()
