"""Where a checkpoint comes from: what every node that makes one writes into its metadata."""

import platform
from importlib.metadata import version
from typing import Any

from tad_blockdrop import __version__
from tad_blockdrop.config import DataConfig
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.reporting import result_table

PACKAGES = ("torch", "timm", "peft", "accelerate", "kedro", "numpy", "pandas")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    ours = {"python": platform.python_version(), "tad-blockdrop": __version__}
    return ours | {name: version(name) for name in PACKAGES}


def first_lineage(data: DataConfig, seed: int) -> dict[str, Any]:
    """The lineage of an uncompressed model."""
    return {
        "family": "uncompressed",
        "step": 0,
        "dropped_block": None,
        "skipped": None,
        "parent": None,
        "dataset": data.name,
        "provenance": data.provenance,
        "seed": seed,
        "versions": versions(),
    }


def child_lineage(parent: Checkpoint, **changes: Any) -> dict[str, Any]:
    """The lineage of a model made from ``parent``: its hash, and what is different now."""
    return (
        parent.lineage
        | {"parent": weights_hash(parent.weights), "versions": versions()}
        | {"skipped": None, "ended": None}
        | changes
    )


def model_name(checkpoint: Checkpoint) -> str:
    """The key of a checkpoint's model in tables and plots."""
    lineage = checkpoint.lineage
    return result_table.model_name(lineage.get("family", "uncompressed"), lineage.get("step", 0))
