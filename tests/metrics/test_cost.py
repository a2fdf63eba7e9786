"""Costs against a closed form, a whole forward pass and the published numbers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tad_blockdrop.config import (
    AttentionNeckConfig,
    DetectorConfig,
    MaxNeckConfig,
    NeckConfig,
    WindowConfig,
)
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.units import SubLayer
from tad_blockdrop.metrics.cost import Macs, count_parameters, macs, paper_macs

NECKS = [
    AttentionNeckConfig(width=16, heads=2, levels=3, embed_layers=3, stem_blocks=1),
    AttentionNeckConfig(width=16, heads=2, levels=3, stem_blocks=0, attention_window=5),
    MaxNeckConfig(width=16, levels=3, embed_kernel=1),
]


def closed_form(config, window, n_classes, n_blocks):
    """Of VideoMAE, both necks and the anchor-free head."""
    backbone, neck = config.backbone, config.pyramid
    clips = window.frames // backbone.clip_frames
    tokens = backbone.clip_frames // backbone.tubelet * (window.crop // backbone.patch) ** 2
    width, hidden = backbone.width, int(backbone.width * backbone.mlp_ratio)
    # q, k, v and the output projection; the two attention products; the two MLP layers
    block = clips * (4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * hidden)
    tubelet = 3 * backbone.tubelet * backbone.patch**2
    steps = [window.grid // 2**level for level in range(neck.levels)]
    kernel, towers = config.head.kernel, 2 * config.head.tower_layers * neck.width
    return Macs(
        embedding=clips * tokens * width * tubelet,
        block=block,
        blocks=n_blocks * block,
        pyramid=_neck(neck, width, steps),
        head=sum(steps) * kernel * neck.width * (towers + n_classes + 2),
    )


def _neck(config: NeckConfig, in_width, steps):
    width = config.width
    inputs = [in_width, *[width] * (config.embed_layers - 1)]
    embedding = sum(steps[0] * config.embed_kernel * inner * width for inner in inputs)
    if isinstance(config, MaxNeckConfig):
        return embedding
    lengths = [steps[0]] * config.stem_blocks + steps[1:]
    # per block: three depth-wise convolutions, four projections, two products, the MLP
    return embedding + sum(
        9 * t * width + 4 * t * width**2 + 2 * t**2 * width + 8 * t * width**2 for t in lengths
    )


def counted(config, n_classes, window, kept):
    """MACs (two FLOPs each) that PyTorch counts in a forward pass without numbers."""
    with torch.device("meta"):
        model = Detector(config, n_classes, window, kept).eval()
        frames = torch.empty(1, window.frames, window.crop, window.crop, 3, dtype=torch.uint8)
        mask = torch.ones(1, window.grid, dtype=torch.bool)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(frames, mask)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (0, 3), (2,)])
@pytest.mark.parametrize("n_classes", [1, 7])
def test_macs_are_those_of_the_closed_form(config, coarse_window, neck, kept, n_classes):
    config = config.model_copy(update={"pyramid": neck})
    ours = macs(config, n_classes, coarse_window, kept)
    assert ours == closed_form(config, coarse_window, n_classes, len(kept))
    assert ours.total == counted(config, n_classes, coarse_window, kept)


def test_parameters_are_those_of_the_model(config, coarse_window):
    kept = (0, SubLayer(1, "attention"), SubLayer(2, "mlp"))
    model = Detector(config, 5, coarse_window, kept)
    ours = count_parameters(config, 5, coarse_window, kept)
    assert ours == sum(parameter.numel() for parameter in model.parameters())
    assert ours < count_parameters(config, 5, coarse_window)


def test_counting_leaves_random_numbers_and_gradients_alone(config, coarse_window):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    macs(config, 3, coarse_window)
    count_parameters(config, 3, coarse_window)
    assert torch.equal(torch.rand(3), expected)
    assert torch.is_grad_enabled()


def test_macs_at_the_size_of_the_paper():
    config, window = DetectorConfig(), WindowConfig()
    ours = macs(config, 20, window)
    assert ours == closed_form(config, window, 20, 12)
    # AdaTAD-S, which has adapters on top, was measured at 1174 G
    assert 1.12e12 < ours.total < 1.174e12
    assert macs(config, 20, window, range(9)).total == ours.total - 3 * ours.block


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


def test_what_is_left_of_blocks_is_counted(config, coarse_window):
    window = coarse_window
    whole = macs(config, 5, window, (0, 1, 2))
    kept = (0, SubLayer(1, "attention"), SubLayer(2, "mlp"))
    assert macs(config, 5, window, kept).blocks == 2 * whole.block
    mlp = macs(config, 5, window, (SubLayer(2, "mlp"),)).blocks
    backbone, clips = config.backbone, window.frames // config.backbone.clip_frames
    tokens = backbone.clip_frames // backbone.tubelet * (window.crop // backbone.patch) ** 2
    hidden = int(backbone.width * backbone.mlp_ratio)
    assert mlp == clips * 2 * tokens * backbone.width * hidden
    assert macs(config, 5, window, kept).total == counted(config, 5, window, kept)
