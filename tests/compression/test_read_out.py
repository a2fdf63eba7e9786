"""Neck and head refitted to other features: exact where that is possible, never worse."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from tad_blockdrop.compression.read_out import (
    Features,
    refit_read_out,
    windows_for,
)
from tad_blockdrop.config import DetectorConfig, MaxNeckConfig, RepairConfig, WindowConfig
from tad_blockdrop.detector.model import Detector

RIDGES = (1e-9, 1e-3)
EXACT = (1e-12,)
N, WIDTH, GRID = 40, 24, 32


@pytest.fixture
def mask() -> Tensor:
    """Windows of several lengths, full ones among them."""
    lengths = torch.tensor([GRID, 21, GRID, 8] * (N // 4))
    return torch.arange(GRID) < lengths[:, None]


def features(seed: int) -> Tensor:
    return torch.randn(N, WIDTH, GRID, generator=torch.Generator().manual_seed(seed))


def outputs(model: Detector, given: Tensor, mask: Tensor) -> Tensor:
    with torch.no_grad():
        output = model.read_out(given, mask)
    return torch.cat([output.logits, output.offsets], dim=-1)[output.mask]


def test_features_that_were_mixed_are_read_as_before(model: Detector, mask: Tensor) -> None:
    """The planted case: with a linear map between the features, the first layer can undo it."""
    mixing = torch.eye(WIDTH) + 0.3 * torch.randn(WIDTH, WIDTH, generator=torch.manual_seed(3))
    wanted = features(0)
    mixed = torch.einsum("ij,njt->nit", mixing, wanted)
    student = deepcopy(model)
    rows = refit_read_out(student, model, Features(mixed, wanted, mask), EXACT)
    assert rows[0].layer == "pyramid.embedding.0.conv"
    assert rows[0].before > 0.3
    assert rows[0].after < 1e-4
    before, expected = outputs(model, mixed, mask), outputs(model, wanted, mask)
    assert (before - expected).abs().max() > 0.1
    torch.testing.assert_close(outputs(student, mixed, mask), expected, rtol=1e-3, atol=1e-3)


def test_a_layer_is_the_least_squares_solution(model: Detector, mask: Tensor) -> None:
    """The last one, on the rows of all levels that are real, in windows that are fitted on."""
    found, wanted = features(1), features(2)
    student = deepcopy(model)
    refit_read_out(student, model, Features(found, wanted, mask), EXACT)
    fitted = slice(0, 32)  # of 40 windows
    x, y = [], []
    layer = student.head.regress
    handles = [
        layer.register_forward_hook(lambda _, given, __: x.append(given[0])),
        model.head.regress.register_forward_hook(lambda _, __, output: y.append(output)),
    ]
    outputs(student, found[fitted], mask[fitted])
    outputs(model, wanted[fitted], mask[fitted])
    for handle in handles:
        handle.remove()
    inputs, targets = [], []
    for tokens, target in zip(x, y, strict=True):
        real = mask[fitted, :: GRID // tokens.shape[1]]
        padded = np.pad(tokens.numpy(), ((0, 0), (1, 1), (0, 0)))
        beside = np.stack([padded[:, i : i + tokens.shape[1]] for i in range(3)], axis=-1)
        inputs.append(beside[real.numpy()].reshape(int(real.sum()), -1))
        targets.append(target.numpy()[real.numpy()])
    rows = np.concatenate(inputs).astype(np.float64)
    rows = np.hstack([rows, np.ones((len(rows), 1))])
    solution = np.linalg.lstsq(rows, np.concatenate(targets), rcond=None)[0]
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    np.testing.assert_allclose(
        rows @ np.vstack([weight.reshape(2, -1).T, bias]), rows @ solution, atol=1e-4
    )


def test_layers_are_taken_in_the_order_in_which_they_work(model: Detector, mask: Tensor) -> None:
    given = Features(features(0), features(0), mask)
    names = [row.layer for row in refit_read_out(deepcopy(model), model, given, RIDGES)]
    assert len(set(names)) == len(names)
    assert names[:3] == [f"pyramid.embedding.{i}.conv" for i in range(3)]
    assert names.index("pyramid.stem.0.mlp.2") < names.index("pyramid.branch.0.attention.output")
    assert {"head.class_tower.0.conv", "head.classify", "head.regress"} <= set(names)
    assert not any(".conv" in name and "attention" in name for name in names), "of one channel each"


def test_equal_features_change_nothing(model: Detector, mask: Tensor) -> None:
    student = deepcopy(model)
    rows = refit_read_out(student, model, Features(features(0), features(0), mask), RIDGES)
    assert all(row.before == row.after == 0 and np.isnan(row.ridge) for row in rows)
    for name, value in model.state_dict().items():
        assert torch.equal(student.state_dict()[name], value), name


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e20])
def test_no_features_make_a_layer_worse(scale: float, model: Detector, mask: Tensor) -> None:
    """Constant ones, ones that tell nothing, and ones too large for any sum."""
    given = Features(scale * features(1), features(2), mask)
    student = deepcopy(model)
    rows = refit_read_out(student, model, given, RIDGES)
    assert all(row.after <= row.before for row in rows)
    assert all(value.isfinite().all() for value in student.state_dict().values())


def test_one_window_cannot_be_judged(model: Detector, mask: Tensor) -> None:
    one = Features(features(1)[:1], features(2)[:1], mask[:1])
    student = deepcopy(model)
    assert refit_read_out(student, model, one, RIDGES) == []


def test_a_neck_of_max_pooling_has_fewer_layers(
    config: DetectorConfig, window: WindowConfig, mask: Tensor
) -> None:
    pyramid = MaxNeckConfig(width=16, levels=3, embed_layers=2)
    model = Detector(config.model_copy(update={"pyramid": pyramid}), 5, window).eval()
    given = Features(features(1), features(2), mask)
    rows = refit_read_out(deepcopy(model), model, given, RIDGES)
    assert [row.layer for row in rows if row.layer.startswith("pyramid")] == [
        "pyramid.embedding.0.conv",
        "pyramid.embedding.1.conv",
    ]
    assert all(row.after < row.before for row in rows[:1])


def test_no_more_steps_are_read_than_tokens() -> None:
    assert windows_for(RepairConfig(tokens=65536, windows=256), 16) == 256
    assert windows_for(RepairConfig(tokens=65536, windows=256), 768) == 85
    assert windows_for(RepairConfig(tokens=65536, windows=None), 16) == 4096
    assert windows_for(RepairConfig(tokens=100, windows=None), 768) == 2
