"""What catalog entries of our own have in common: a path, with versions or without."""

from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from kedro.io import AbstractDataset, AbstractVersionedDataset, Version

from tad_blockdrop.checksums import Origins

T = TypeVar("T")
Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class PathDataset(AbstractDataset[Saved, Loaded]):
    """One file or folder, without versions."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """``filepath``: the file or folder."""
        self._path = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class VersionedPath(AbstractVersionedDataset[Saved, Loaded]):
    """``<filepath>/<version>/<name>``, a file or a folder."""

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Kedro fills ``version`` in for entries with ``versioned: true``."""
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


class VersionedFolder(VersionedPath[T, T]):
    """``<filepath>/<version>/<name>/``, a folder that exists if its ``MARKER`` file is there."""

    MARKER: ClassVar[str]

    origins: Origins = MappingProxyType({})  # what the data were made from: see hooks/origins.py

    def _exists(self) -> bool:
        return (Path(self._get_load_path()) / self.MARKER).is_file()
