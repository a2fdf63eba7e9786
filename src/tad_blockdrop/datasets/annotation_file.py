"""Annotations as a catalog entry: files that the formats of ``video.annotations`` read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.video.annotations import AnnotationFile, read_annotation_files


class AnnotationFileDataset(AbstractDataset[dict[str, Any], tuple[AnnotationFile, ...]]):
    """Loads JSON, XML, tables and texts in any usual encoding; saves JSON."""

    def __init__(
        self, *, filepath: str | Sequence[str], metadata: dict[str, Any] | None = None
    ) -> None:
        """``filepath``: a file, a folder of files, or a list of both."""
        self.paths = [Path(filepath)] if isinstance(filepath, str) else [*map(Path, filepath)]
        self.metadata = metadata

    def load(self) -> tuple[AnnotationFile, ...]:
        """Read the files. Raises AnnotationError."""
        return read_annotation_files(self.paths)

    def save(self, data: dict[str, Any]) -> None:
        """Write the file as a whole."""
        [path] = self.paths
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")

    def _exists(self) -> bool:
        return all(path.exists() for path in self.paths)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": [str(path) for path in self.paths]}
