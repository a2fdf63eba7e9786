"""Costs from shapes against PyTorch's own counter and against the published numbers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tad_blockdrop.config import DetectorConfig, WindowConfig
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics.cost import macs, paper_macs


def counted(config, window, n_classes, kept):
    """MACs (two FLOPs each) that PyTorch counts in a forward pass without numbers."""
    with torch.device("meta"):
        model = Detector(config, n_classes, window, kept).eval()
        frames = torch.empty(1, window.frames, window.crop, window.crop, 3, dtype=torch.uint8)
        mask = torch.ones(1, window.grid, dtype=torch.bool)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(frames, mask)
    parts = {name: sum(c.values()) // 2 for name, c in counter.get_flop_counts().items()}
    return counter.get_total_flops() // 2, parts


@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (0, 3)])
@pytest.mark.parametrize("n_classes", [1, 7])
def test_macs_are_what_pytorch_counts(config, window, kept, n_classes):
    total, parts = counted(config, window, n_classes, kept)
    ours = macs(config, window, n_classes, kept)
    assert ours.total == total
    assert ours.pyramid == parts["Detector.pyramid"]
    assert ours.head == parts["Detector.head"]
    assert ours.blocks == ours.block * len(kept)


def test_macs_at_the_size_of_the_paper():
    config, window = DetectorConfig(), WindowConfig()
    ours = macs(config, window, 20)
    assert ours.total == counted(config, window, 20, range(12))[0]
    # AdaTAD-S, which has adapters on top, was measured at 1174 G
    assert 1.12e12 < ours.total < 1.174e12
    assert macs(config, window, 20, range(9)).total == ours.total - 3 * ours.block


@pytest.mark.parametrize(
    ("n_blocks", "width", "head", "printed"),
    [
        (12, 384, 13.09, 286.3),
        (11, 384, 13.09, 263.5),
        (10, 384, 13.09, 240.8),
        (9, 384, 13.09, 218.0),
        (8, 384, 13.09, 195.2),
        (24, 1024, 13.84, 3886.9),
        (21, 1024, 13.84, 3402.7),
        (18, 1024, 13.84, 2918.6),
    ],
)
def test_the_papers_formula_reproduces_its_table(n_blocks, width, head, printed):
    assert paper_macs(n_blocks, 38_400, width, head * 1e9) / 1e9 == pytest.approx(printed, abs=0.1)
