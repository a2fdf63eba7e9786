"""The one checkpoint type: weights and the readable metadata that a model needs to run alone.

Nothing here imports torch at run time, so that pipelines can name ``Checkpoint`` in their types
without slowing the command line down.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tad_blockdrop.checksums import DamagedError, Seal, verify
from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.detector.decisions import DECISIONS_FILE, Decisions
from tad_blockdrop.detector.units import Unit, as_stored, parse_unit
from tad_blockdrop.errors import BlockDropError, some

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
    their *original* index and only ``kept_blocks`` are there. Of a block of which one sub-layer is
    left, that stands there in the place of the index. ``decisions``: none in checkpoints from
    before there were any, and in imported ones.
    """

    weights: dict[str, Tensor]
    detector: DetectorConfig
    kept_blocks: tuple[Unit, ...]
    classes: tuple[str, ...]
    window: WindowConfig
    every: int | None
    fps: float | None
    postprocess: PostprocessConfig
    lineage: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    decisions: Decisions | None = None


class _Part(BaseModel):
    """Of ``config.json``: what the program relies on; anything may stand beside it."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Lineage(_Part):
    family: Literal["uncompressed", "progressive", "control", "one_shot"] = "uncompressed"
    step: int = Field(0, ge=0)
    dropped_block: int | str | None = None
    skipped: str | None = None
    ended: str | None = None
    dataset: str = ""


class _Metrics(_Part):
    operating_point: dict[str, float | None] = {}  # of checkpoints without decisions
    gmacs: float = 0.0
    holdout_average: float = 0.0
    latency_ms: float = 0.0


class _Metadata(_Part):
    weights_hash: str
    kept_blocks: list[int | str]
    classes: list[str]
    every: int | None = Field(ge=1)
    fps: float | None = Field(gt=0)
    lineage: _Lineage
    metrics: _Metrics

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if (self.every is None) == (self.fps is None):
            raise ValueError("one of 'every' and 'fps' must be given, the other null")
        return self


def weights_hash(weights: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, independent of order and file format."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write ``weights.safetensors``, ``config.json`` and ``decisions.json`` into a new folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file(checkpoint.weights, folder / WEIGHTS_FILE)
    metadata = {
        "format_version": FORMAT_VERSION,
        "weights_hash": weights_hash(checkpoint.weights),
        "kept_blocks": [as_stored(unit) for unit in checkpoint.kept_blocks],
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
    if checkpoint.decisions is not None:
        text = checkpoint.decisions.model_dump_json(indent=1)
        (folder / DECISIONS_FILE).write_text(text + "\n", encoding="utf-8")


def stated_identity(folder: Path) -> str:
    """The hash of the weights, as the metadata of a checkpoint that can be read state it."""
    return str(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["weights_hash"])


def require_classes(checkpoint: Checkpoint, classes: Sequence[str], what: str) -> None:
    """Raise CheckpointError unless ``what``, a checkpoint, detects these classes in this order.

    Names are compared in one Unicode form: annotations from macOS once gave another.
    """
    own, theirs = composed(checkpoint.classes), composed(classes)
    if own == theirs:
        return
    lost, new = (sorted(set(a) - set(b)) for a, b in permutations((own, theirs)))
    difference = "the same classes in another order"
    if lost or new:
        difference = f"{_some(lost)} that are not in this dataset, and not its {_some(new)}"
    raise CheckpointError(
        f"{what} detects {difference}: its scores would be taken for those of other classes. Train "
        "on this dataset, or set data.classes_file to the checkpoint's classes in their order"
    )


def composed(names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes in the Unicode form (NFC) that annotations are read in."""
    return tuple(unicodedata.normalize("NFC", name) for name in names)


def respelled(checkpoint: Checkpoint, classes: Sequence[str]) -> Checkpoint:
    """The checkpoint with its classes, and all that it states of them, under these names."""
    names = dict(zip(checkpoint.classes, classes, strict=True))
    if all(old == new for old, new in names.items()):
        return checkpoint
    metrics = dict(checkpoint.metrics)
    if "operating_point" in metrics:
        stated = metrics["operating_point"] or {}
        metrics["operating_point"] = {names.get(name, name): low for name, low in stated.items()}
    decisions = checkpoint.decisions and checkpoint.decisions.respelled(names)
    return replace(checkpoint, classes=tuple(classes), metrics=metrics, decisions=decisions)


def in_nfc(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with names of classes as annotations are read now, unless two become one."""
    names = composed(checkpoint.classes)
    return respelled(checkpoint, names) if len(set(names)) == len(names) else checkpoint


def to_train(checkpoint: Checkpoint, detector: DetectorConfig) -> Checkpoint:
    """The checkpoint, to be trained with the settings of the configuration, ``detector``.

    Its network stays what it is; how it was trained when it was made says nothing.
    """
    return replace(checkpoint, detector=checkpoint.detector.for_training(detector))


def _some(names: list[str]) -> str:
    return f"{len(names)} class(es) ({some(names, 5)})"


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify a checkpoint folder; weights are CPU tensors.

    Raises:
        CheckpointError: the folder is no checkpoint, is of a newer format, or was damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        sealed = verify(folder)
        metadata = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        json.dumps(metadata, ensure_ascii=False).encode()  # half characters would end a run late
        version = metadata["format_version"]
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{folder} has checkpoint format {version}; this program reads format "
                f"{FORMAT_VERSION}: use the version of tad_blockdrop that wrote it"
            )
        stated = _Metadata.model_validate(metadata)
        weights = load_file(folder / WEIGHTS_FILE)
        if sealed is None and weights_hash(weights) != stated.weights_hash:
            raise CheckpointError(
                f"the weights in {folder} do not match the hash in their {CONFIG_FILE}: the file "
                "was damaged or exchanged; restore it or make the checkpoint again"
            )
        return Checkpoint(
            weights=weights,
            detector=DetectorConfig.model_validate(metadata["detector"]),
            kept_blocks=tuple(map(parse_unit, stated.kept_blocks)),
            classes=tuple(stated.classes),
            window=WindowConfig.model_validate(metadata["window"]),
            every=stated.every,
            fps=stated.fps,
            postprocess=PostprocessConfig.model_validate(metadata["postprocess"]),
            lineage=metadata["lineage"],
            metrics=metadata["metrics"],
            decisions=_read_decisions(folder, sealed),
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no checkpoint: {error.filename} is missing") from error
    except DamagedError as error:
        raise CheckpointError(str(error)) from error
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder} is no readable checkpoint: {_first(error)}") from error


def _read_decisions(folder: Path, sealed: Seal | None) -> Decisions | None:
    file = folder / DECISIONS_FILE
    if not file.is_file():
        return None
    if sealed is not None and DECISIONS_FILE not in sealed.files:
        raise DamagedError(
            f"{file} is not from the program that wrote the checkpoint, which has no checksum of "
            "it: remove the file"
        )
    return Decisions.model_validate_json(file.read_bytes())


def read_newest(folder: str | Path) -> Checkpoint:
    """Read the checkpoint in ``folder``, or the newest version below it."""
    return read_checkpoint(newest_checkpoint(Path(folder).expanduser()))


def newest_checkpoint(folder: Path) -> Path:
    """``folder`` itself if it is a checkpoint, otherwise the newest of its versions.

    Kedro keeps them as ``<entry>/<version>/<entry>``. Raises CheckpointError if there is none.
    """
    if (folder / CONFIG_FILE).is_file():
        return folder
    versions = sorted(folder.glob(f"*/{folder.name}/{CONFIG_FILE}"))
    if not versions:
        raise CheckpointError(
            f"{folder} is not a checkpoint: it has no {CONFIG_FILE} and no versions of one; give "
            "a folder such as data/06_models/<experiment>/final_checkpoint"
        )
    return versions[-1].parent


def _first(error: Exception) -> str:
    """What is wrong, in a line."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return f"{type(error).__name__}: {error}"
