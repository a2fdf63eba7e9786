"""Annotations as a catalog entry: any file that a format of ``video.annotations`` reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import DatasetError

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


@dataclass(frozen=True)
class AnnotatedVideos:
    """A file of annotations and the folder of their videos."""

    file: Path
    folder: Path


class AnnotatedVideosDataset(PathDataset[NoReturn, AnnotatedVideos | None]):
    """Where the experiment's own annotations and videos are; None if it has no annotations."""

    def __init__(
        self, *, filepath: str, videos: str, metadata: dict[str, Any] | None = None
    ) -> None:
        """``filepath``: the annotations; ``videos``: the folder of their videos."""
        super().__init__(filepath=filepath, metadata=metadata)
        self._videos = Path(videos)

    def load(self) -> AnnotatedVideos | None:
        """Look; nothing is read."""
        return AnnotatedVideos(self._path, self._videos) if self._path.is_file() else None

    def save(self, data: NoReturn) -> None:
        """They are people's own."""
        raise DatasetError(f"{self._path} is not written by any pipeline")

    def _exists(self) -> bool:
        return True  # that there is none is an answer
