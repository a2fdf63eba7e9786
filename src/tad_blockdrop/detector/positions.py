"""Fixed positions of tokens and of steps in time."""

import torch
from torch import Tensor


def sincos_table(length: int, width: int) -> Tensor:
    """Fixed positions (length, width): sin on even channels, cos on odd ones.

    ``angle(pos, j) = pos / 10000^(2·(j // 2) / width)`` ("Attention Is All You Need", §3.5).
    """
    channel = torch.arange(width)
    frequency = 10000.0 ** (-2.0 * (channel // 2).double() / width)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
