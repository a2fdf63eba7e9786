"""An export as a few files in one folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tad_blockdrop.export.card import CARD_FILE
from tad_blockdrop.export.sidecar import ARCHIVE_FILE, INT8_FILE, ONNX_FILE, SIDECAR_FILE


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """The bytes of the ONNX file and of the torch.export archive, and the sidecar.

    ``onnx``: none of a model that is too large for such a file; ``int8``: the same in 8-bit
    integers, if there is one; ``card``: the text of its README.md, which exports from before there
    were any, and unchecked ones, lack.
    """

    onnx: bytes | None
    archive: bytes
    sidecar: dict[str, Any]
    int8: bytes | None = None
    card: str | None = None


def write_export(exported: ExportedModel, folder: Path) -> None:
    """Write the files of an export into a new folder."""
    folder.mkdir(parents=True)
    (folder / ARCHIVE_FILE).write_bytes(exported.archive)
    for name, content in ((ONNX_FILE, exported.onnx), (INT8_FILE, exported.int8)):
        if content is not None:
            (folder / name).write_bytes(content)
    if exported.card is not None:
        (folder / CARD_FILE).write_text(exported.card, encoding="utf-8")
    text = json.dumps(exported.sidecar, indent=1, allow_nan=False)
    (folder / SIDECAR_FILE).write_text(text + "\n", encoding="utf-8")


def read_export(folder: Path) -> ExportedModel:
    """Read what ``write_export`` wrote; raises FileNotFoundError if a part is missing."""
    int8, card = folder / INT8_FILE, folder / CARD_FILE
    about = json.loads((folder / SIDECAR_FILE).read_text(encoding="utf-8"))
    return ExportedModel(
        onnx=(folder / ONNX_FILE).read_bytes() if "onnx" in about["files"] else None,
        archive=(folder / ARCHIVE_FILE).read_bytes(),
        sidecar=about,
        int8=int8.read_bytes() if int8.exists() else None,
        card=card.read_text(encoding="utf-8") if card.exists() else None,
    )
