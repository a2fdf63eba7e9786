"""What a criterion is. Nothing here imports torch, so that a name can be checked at once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detector.units import Unit

if TYPE_CHECKING:
    from tad_blockdrop.compression.skipping import Skip
    from tad_blockdrop.detector.model import BlockModel
    from tad_blockdrop.parallel.group import Group
    from tad_blockdrop.storage.resumable_pass import Scratch
    from tad_blockdrop.tasks.contract import Task


def _alone() -> Group:
    from tad_blockdrop.parallel.group import ALONE

    return ALONE


@dataclass(frozen=True, eq=False)
class Candidates:
    """What is rated, and on what.

    ``skips``: sets of units, each to be left out together; with ``compress.target`` an empty one
    too. ``loader`` gives batches of the task's inputs, in order; with ``scratch`` a pass that was
    cut goes on. ``teacher``, the uncompressed model, and ``repair`` are for criteria that repair a
    candidate before they rate it, on clips of all inputs: its ``videos`` and ``windows`` are for
    the repair after a drop. ``gains``: what each unit saves, in percent; none: all alike.
    ``group``: the processes that share the work; ``own``: a loader of the batches that hold inputs
    of this one, by default all. The ``dataset`` of a loader has as many items as there are inputs;
    its ``own`` are the numbers of those that count here.
    """

    skips: Sequence[Skip]
    task: Task
    loader: Any
    scratch: Scratch | None
    teacher: BlockModel
    repair: RepairConfig
    gains: Mapping[Unit, float] = field(default_factory=dict)
    group: Group = field(default_factory=_alone)
    own: Any = None

    @property
    def batches(self) -> Any:
        """The loader of what this process works on."""
        return self.loader if self.own is None else self.own


class Criterion(ABC):
    """A way to rate what a model is without some of its blocks.

    ``title`` stands at an axis, ``explanation`` is a sentence for people. ``looks_ahead``: whether
    several blocks can be rated together; ``repairs``: whether it needs ``compress.repair``;
    ``reads_all``: whether every process of a group reads all inputs; ``by_metric``: whether it is
    the task's metric, for which there must be something to find.
    """

    name: str
    title: str
    explanation: str
    larger_is_better: bool
    looks_ahead: bool = True
    repairs: bool = False
    reads_all: bool = False
    by_metric: bool = False

    @abstractmethod
    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """The value of each set of blocks that is left out; NaN where there is none.

        The model is in evaluation mode, under ``inference_mode`` and the caller's autocast.
        """

    def checked_score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        """The values of :meth:`score`. Raises ScoringError for a metric that is 0 throughout.

        Where no value is a number, no block can be chosen, which is told then.
        """
        from tad_blockdrop.compression.dropping import ScoringError

        values = self.score(model, candidates)
        found = [value for skip, value in values.items() if skip and math.isfinite(value)]
        if self.by_metric and found and not any(found):
            raise ScoringError(
                f"none of the {sum(map(bool, values))} candidates has a mean average precision "
                "above 0 on the training videos, so there is nothing to rank: the model itself "
                "does not detect. Train the baseline longer, score on more videos "
                "(compress.score_videos), or set compress.criterion to 'train_loss'"
            )
        return values

    def parts(self, videos: int, candidates: int) -> tuple[int, str]:
        """Into how many parts processes can cut the work, and of what: by default by videos."""
        return videos, "videos"

    def refits(self, blocks: int, candidates: int) -> int:
        """How many blocks are refitted to rate ``candidates`` of a model of ``blocks`` blocks.

        With :meth:`passes` what a criterion that repairs costs; any other is measured.
        """
        return candidates * (blocks - 1) if self.repairs else 0

    def passes(self, candidates: int) -> int:
        """How often a model sees all inputs to rate ``candidates`` that are repaired."""
        return candidates if self.repairs else 0
