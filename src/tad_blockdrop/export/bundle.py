"""An export as three files in one folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tad_blockdrop.export.sidecar import ARCHIVE_FILE, ONNX_FILE, SIDECAR_FILE


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """The bytes of the ONNX file and of the torch.export archive, and the sidecar."""

    onnx: bytes
    archive: bytes
    sidecar: dict[str, Any]


def write_export(exported: ExportedModel, folder: Path) -> None:
    """Write ``model.onnx``, ``model.pt2`` and ``model.json`` into a new folder."""
    folder.mkdir(parents=True)
    (folder / ONNX_FILE).write_bytes(exported.onnx)
    (folder / ARCHIVE_FILE).write_bytes(exported.archive)
    text = json.dumps(exported.sidecar, indent=1, allow_nan=False)
    (folder / SIDECAR_FILE).write_text(text + "\n", encoding="utf-8")


def read_export(folder: Path) -> ExportedModel:
    """Read what ``write_export`` wrote; raises FileNotFoundError if a part is missing."""
    return ExportedModel(
        onnx=(folder / ONNX_FILE).read_bytes(),
        archive=(folder / ARCHIVE_FILE).read_bytes(),
        sidecar=json.loads((folder / SIDECAR_FILE).read_text(encoding="utf-8")),
    )
