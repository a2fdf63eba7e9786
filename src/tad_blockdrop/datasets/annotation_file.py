"""Annotations as a catalog entry: any file that a format of ``video.annotations`` reads."""

import json
from typing import Any

from tad_blockdrop.datasets.folder import PathDataset
from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.video.annotations import AnnotationFile, read_annotation_file


class AnnotationFileDataset(PathDataset[dict[str, Any], AnnotationFile]):
    """Loads JSON, tables and texts in any usual encoding; saves JSON."""

    def load(self) -> AnnotationFile:
        """Read the file. Raises AnnotationError."""
        return read_annotation_file(self._path)

    def save(self, data: dict[str, Any]) -> None:
        """Write the file as a whole."""
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")

    def _exists(self) -> bool:
        return self._path.is_file()
