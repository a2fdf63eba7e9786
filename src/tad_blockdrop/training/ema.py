"""The exponential moving average of the trained weights, which is what gets evaluated."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """A moving average of named parameters, updated in place by fused list operations.

    The decay of update n (from 0) is ``min(decay, (1 + n) / (10 + n))``: a run of a few hundred
    steps is then not averaged with its initial weights, while over the thousands of steps of the
    published recipes the factor differs from ``decay`` in the first few percent only.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._names = tuple(parameters)
        self._live = [parameter.detach() for parameter in parameters.values()]
        self._average = [value.clone() for value in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights; call after each optimiser step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the model holds the averaged weights."""
        live = [value.clone() for value in self._live]
        self._set_live(self._average)
        try:
            yield
        finally:
            self._set_live(live)

    def state(self) -> dict[str, Tensor]:
        """The averages by parameter name; they share memory with this object."""
        return dict(zip(self._names, self._average, strict=True))

    def load(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Continue from averages that ``state`` returned after ``updates`` updates."""
        torch._foreach_copy_(self._average, [state[name] for name in self._names])
        self.updates = updates

    def put(self, state: Mapping[str, Tensor]) -> None:
        """Make ``state`` (parameter name -> weights) the weights of the model."""
        self._set_live([state[name] for name in self._names])

    @torch.no_grad()
    def _set_live(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self._live, values)
