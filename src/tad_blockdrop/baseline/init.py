"""Initialisations that help a backbone learn from scratch on little data.

Pre-trained weights need none of this; ``config.LearningAids`` switches it on.
"""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.detector.model import Detector

# Measured on the generated benchmark with clip means removed: with these two, the answers of
# spatial and of temporal filters are about as the positions they are added to.
GAIN = 6.0
TEMPORAL_GAIN = 4.0  # little changes between the two frames of a tubelet


@torch.no_grad()
def xavier_init(model: Detector) -> None:
    """Xavier-uniform weights and zero biases in all backbone blocks, in place.

    The joint ``qkv`` matrix is treated as the three square matrices that it is. Compared with
    the default of std 0.02, narrow blocks start with residual branches that carry signal.
    """
    for block in model.backbone.blocks.values():
        for name, module in block.named_modules():
            if isinstance(module, nn.Linear):
                for part in module.weight.chunk(3 if name.endswith("qkv") else 1):
                    nn.init.xavier_uniform_(part)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


@torch.no_grad()
def dct_patch_init(model: Detector) -> None:
    """Make the patch embedding's filters the lowest cosine frequencies of a tubelet, in place.

    The basis is the separable DCT-II over colour (for three channels: grey and two opponent
    colours), time, row and column, taken in order of the sum of the four frequencies, so that
    change within a tubelet is among the first. Filters are amplified by that order, because the
    contrast of images falls about as the inverse of the frequency. Channels beyond the basis
    keep the values they have.
    """
    if not isinstance(model.backbone, VideoMAE):
        raise ValueError(
            "baseline.aids.dct_patch_init is for backbones of kind 'videomae': set it to false"
        )
    projection = model.backbone.patch_embed.projection
    shape = tuple(projection.weight.shape[1:])
    bases = [dct_basis(length) for length in shape]
    frequencies = sorted(product(*map(range, shape)), key=lambda f: (sum(f), f))
    for channel, frequency in enumerate(frequencies[: projection.out_channels]):
        rows = (basis[k] for basis, k in zip(bases, frequency, strict=True))
        wave = torch.einsum("c,t,y,x->ctyx", *rows)
        gain = GAIN * (TEMPORAL_GAIN if frequency[1] else 1) * (1 + sum(frequency))
        projection.weight[channel] = gain / wave.numel() ** 0.5 * wave
    assert projection.bias is not None
    projection.bias.zero_()


def dct_basis(length: int) -> Tensor:
    """The orthonormal DCT-II basis (length, length); row k is the k-th frequency."""
    k = torch.arange(length, dtype=torch.float64)
    basis = torch.cos(torch.pi / length * k[:, None] * (k + 0.5))
    return functional.normalize(basis).float()
