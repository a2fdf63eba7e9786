"""What compression and training know of a task: a loss, what is distilled, and a metric."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from tad_blockdrop.config import AlignLossConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.group import Group


class OutputError(BlockDropError):
    """What a model says about an input is not finite."""


@dataclass(frozen=True, eq=False)
class Supervised:
    """The loss of a batch against the ground truth: the sum of named ``terms`` (scalars).

    ``count``: how many targets they were averaged over, 0 where there was none. A task's own
    subclass may hold more, for its distillation.
    """

    terms: dict[str, Tensor]
    count: Tensor


class DistillationTerm(NamedTuple):
    """A term of the alignment: its weight's name in ``compress.loss``, and what it is worth now.

    ``factor`` multiplies the weight; ``value`` computes the term, which is a scalar.
    """

    name: str
    factor: float
    value: Callable[[], Tensor]


class Metric(ABC):
    """What a model is worth on some inputs, gathered batch by batch; higher is better."""

    @abstractmethod
    def add(self, batch: Any, output: Any) -> None:
        """Take a model's output for a batch. Raises OutputError where it is not finite."""

    @abstractmethod
    def value(self) -> float:
        """The metric of all batches so far, in percent."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that was gathered, by name."""

    @abstractmethod
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the metric that ``state`` was taken from."""

    def share(self, group: Group) -> None:
        """Hold what the metrics of all processes of a group gathered, in order of rank."""
        if group.world > 1:
            raise BlockDropError(
                "the metric of this task cannot be gathered by several processes: set "
                "runtime.devices to 1"
            )


class Task(ABC):
    """What a model is trained for. ``output`` is what the task's models give."""

    @abstractmethod
    def loss(self) -> nn.Module:
        """``loss(output, batch, training) -> Supervised``; what it remembers is in buffers."""

    @abstractmethod
    def distillation(
        self, config: AlignLossConfig, found: Any, wanted: Any, supervised: Any, epoch: float
    ) -> list[DistillationTerm]:
        """What a student's output ``found`` learns from its teacher's, ``wanted``.

        ``supervised`` is what ``loss`` gave for the student, ``epoch`` is fractional from 0.
        """

    @abstractmethod
    def metric(self) -> Metric:
        """A new metric over the task's own inputs."""

    def check_distillation(self, config: AlignLossConfig) -> None:  # noqa: B027 - optional
        """Raise ValueError for settings that mean nothing for this task."""
