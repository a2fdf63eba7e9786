"""Annotations as a catalog entry: files that the formats of ``video.annotations`` read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.video.annotations import AnnotationFile, read_annotation_files

Paths = str | Sequence[str]  # a file, a folder of files, or a list of both


class AnnotationFileDataset(AbstractDataset[dict[str, Any], tuple[AnnotationFile, ...]]):
    """Loads JSON, XML, tables and texts in any usual encoding; saves JSON."""

    def __init__(self, *, filepath: Paths, metadata: dict[str, Any] | None = None) -> None:
        """``filepath``: a file, a folder of files, or a list of both."""
        self.paths = _as_paths(filepath)
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


@dataclass(frozen=True)
class AnnotatedVideos:
    """Files of annotations, or folders of such, and the folder of their videos."""

    paths: Sequence[Path]
    folder: Path


class AnnotatedVideosDataset(AbstractDataset[NoReturn, AnnotatedVideos | None]):
    """Where the experiment's own annotations and videos are; None if it has no annotations."""

    def __init__(
        self, *, filepath: Paths, videos: str, metadata: dict[str, Any] | None = None
    ) -> None:
        """``filepath``: the annotations, as in ``AnnotationFileDataset``; ``videos``: a folder."""
        self._known = AnnotatedVideos(_as_paths(filepath), Path(videos))
        self.metadata = metadata

    def load(self) -> AnnotatedVideos | None:
        """Look; nothing is read."""
        return self._known if all(path.exists() for path in self._known.paths) else None

    def save(self, data: NoReturn) -> None:
        """They are people's own."""
        raise DatasetError("annotations are written by people, not by a pipeline")

    def _exists(self) -> bool:
        return True  # that there is none is an answer

    def _describe(self) -> dict[str, Any]:
        paths = [str(path) for path in self._known.paths]
        return {"filepath": paths, "videos": str(self._known.folder)}


def _as_paths(filepath: Paths) -> list[Path]:
    return [Path(filepath)] if isinstance(filepath, str) else [*map(Path, filepath)]
