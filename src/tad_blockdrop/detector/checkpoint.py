"""The one checkpoint type: weights and the readable metadata that a model needs to run alone.

Nothing here imports torch at run time, so that pipelines can name ``Checkpoint`` in their types
without slowing the command line down.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.errors import BlockDropError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"


class CheckpointError(BlockDropError, ValueError):
    """A checkpoint cannot be read: missing, damaged, or of another format."""


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


def weights_hash(weights: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, independent of order and file format."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.flatten().view(_byte_type()).numpy().tobytes())
    return digest.hexdigest()


def _byte_type() -> Any:
    import torch

    return torch.uint8


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write ``weights.safetensors`` and ``config.json`` into a new folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file(checkpoint.weights, folder / WEIGHTS_FILE)
    metadata = {
        "format_version": FORMAT_VERSION,
        "weights_hash": weights_hash(checkpoint.weights),
        "kept_blocks": list(checkpoint.kept_blocks),
        "classes": list(checkpoint.classes),
        "detector": checkpoint.detector.model_dump(mode="json"),
        "window": checkpoint.window.model_dump(mode="json"),
        "every": checkpoint.every,
        "fps": checkpoint.fps,
        "postprocess": checkpoint.postprocess.model_dump(mode="json"),
        "lineage": checkpoint.lineage,
        "metrics": checkpoint.metrics,
    }
    text = json.dumps(metadata, indent=2, allow_nan=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify a checkpoint folder; weights are CPU tensors.

    Raises:
        CheckpointError: the folder is no checkpoint, is of a newer format, or was damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        metadata = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        version = metadata["format_version"]
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{folder} has checkpoint format {version}; this program reads format "
                f"{FORMAT_VERSION}: use the version of tad_blockdrop that wrote it"
            )
        weights = load_file(folder / WEIGHTS_FILE)
        if weights_hash(weights) != metadata["weights_hash"]:
            raise CheckpointError(
                f"the weights in {folder} do not match the hash in their {CONFIG_FILE}: the file "
                "was damaged or exchanged; restore it or make the checkpoint again"
            )
        return Checkpoint(
            weights=weights,
            detector=DetectorConfig.model_validate(metadata["detector"]),
            kept_blocks=tuple(metadata["kept_blocks"]),
            classes=tuple(metadata["classes"]),
            window=WindowConfig.model_validate(metadata["window"]),
            every=metadata["every"],
            fps=metadata["fps"],
            postprocess=PostprocessConfig.model_validate(metadata["postprocess"]),
            lineage=metadata["lineage"],
            metrics=metadata["metrics"],
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no checkpoint: {error.filename} is missing") from error
    except (SafetensorError, json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        raise CheckpointError(f"{folder} is no readable checkpoint: {error}") from error
