"""The one checkpoint type: weights and the readable metadata that a model needs to run alone.

Nothing here imports torch at run time, so that pipelines can name ``Checkpoint`` in their types
without slowing the command line down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A detector on disk or between nodes.

    ``weights`` maps the names of ``Detector.state_dict()`` to CPU tensors; blocks are named by
    their *original* index and only ``kept_blocks`` are there.
    """

    weights: dict[str, Tensor]
    detector: DetectorConfig
    kept_blocks: tuple[int, ...]
    classes: tuple[str, ...]
    window: WindowConfig
    every: int | None
    fps: float | None
    postprocess: PostprocessConfig
    lineage: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
