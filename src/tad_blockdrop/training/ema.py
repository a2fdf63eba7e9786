"""The exponential moving average of the trained weights, which is what gets evaluated."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

MEMORIES = 5  # the average's memory fits at least so often into a run


class Ema:
    """A moving average of named parameters, updated in place by fused list operations.

    ``average ← d · average + (1 − d) · weights`` after each of the run's ``total`` updates, with
    ``d = min(decay, 1 − 5 / total)``. The published recipes take 5,000 steps or more, where this
    is their 0.999. A run of a few hundred steps would end there as an average with its random
    start; here the start never weighs more than exp(−5). PyTorch's
    ``AveragedModel`` would copy frozen weights too; this holds what is trained.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float, total: int) -> None:
        self.decay = max(min(decay, 1 - MEMORIES / total), 0.0)
        self._names = tuple(parameters)
        self._live = [parameter.detach() for parameter in parameters.values()]
        self._average = [value.clone() for value in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights; call after each optimiser step."""
        torch._foreach_lerp_(self._average, self._live, 1 - self.decay)

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

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from averages that ``state`` returned."""
        torch._foreach_copy_(self._average, [state[name] for name in self._names])

    def put(self, state: Mapping[str, Tensor]) -> None:
        """Make ``state`` (parameter name -> weights) the weights of the model."""
        self._set_live([state[name] for name in self._names])

    @torch.no_grad()
    def _set_live(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self._live, values)
