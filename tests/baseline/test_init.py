"""The learning aids' initialisations."""

import math

import pytest
import torch
from torch import Tensor

from tad_blockdrop.baseline.init import GAIN, dct_basis, dct_patch_init, xavier_init
from tad_blockdrop.detector.model import Detector


def test_dct_basis_is_orthonormal_and_starts_with_the_mean() -> None:
    basis = dct_basis(7)
    torch.testing.assert_close(basis @ basis.T, torch.eye(7), rtol=0, atol=1e-6)
    torch.testing.assert_close(basis[0], torch.full((7,), 1 / math.sqrt(7)))


@torch.no_grad()
def test_filters_are_the_lowest_frequencies(model: Detector) -> None:
    dct_patch_init(model)
    projection = model.backbone.patch_embed.projection
    filters = projection.weight.flatten(1)
    gram = filters @ filters.T
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-4 * gram.diagonal().min()
    grey = torch.full((1, 3, 2, 8, 8), 0.7)
    answer = projection(grey).flatten()
    assert answer[0].item() == pytest.approx(0.7 * GAIN, rel=1e-5)
    assert answer[1:].abs().max() < 1e-4
    assert _sees(projection, _wave(axis=2)), "change in time within the tubelet"
    assert _sees(projection, _wave(axis=3)), "vertical gradient"
    assert _sees(projection, _wave(axis=4)), "horizontal gradient"
    assert _sees(projection, _wave(axis=1)), "colour contrast"


def _wave(axis: int) -> Tensor:
    shape = [1, 1, 1, 1, 1]
    shape[axis] = (1, 3, 2, 8, 8)[axis]
    return torch.linspace(-1, 1, shape[axis]).view(shape).expand(1, 3, 2, 8, 8)


def _sees(projection: torch.nn.Module, image: Tensor) -> bool:
    answer: Tensor = projection(image)
    return bool(answer.abs().max() > 1)


def test_xavier_spreads_each_part_of_qkv_to_its_own_bound(model: Detector) -> None:
    torch.manual_seed(0)
    xavier_init(model)
    for block in model.backbone.blocks.values():
        parts = [*block.attn.qkv.weight.chunk(3), block.attn.proj.weight, block.mlp.fc1.weight]
        for part in parts:
            bound = math.sqrt(6 / sum(part.shape))
            assert 0.9 * bound < part.abs().max().item() <= bound
        assert (block.attn.qkv.bias == 0).all()


def test_xavier_takes_layers_without_bias(model: Detector) -> None:
    layers = [m for m in model.backbone.blocks.modules() if isinstance(m, torch.nn.Linear)]
    layers[0].bias = None
    before = [layer.weight.clone() for layer in layers]
    xavier_init(model)
    assert not any(map(torch.equal, before, (layer.weight for layer in layers)))
    assert not any(layer.bias.any() for layer in layers[1:])
