"""A model as other programs load it. Nothing here imports torch at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class PublicWeights:
    """What ``export_weights`` makes.

    ``transformers`` and ``config``: the tensors and the ``config.json`` of the backbone;
    ``opentad``: the detector, unless that layout cannot hold it.
    """

    transformers: dict[str, Tensor]
    config: dict[str, Any]
    opentad: dict[str, Any] | None = None
