"""The folder for the resumable state of nodes: read as a path, never a version."""

from pathlib import Path
from typing import NoReturn

from kedro.io import DatasetError

from tad_blockdrop.datasets.folder import PathDataset


class ScratchDataset(PathDataset[NoReturn, Path]):
    """Loads as a path; hooks/scratch.py makes of it a folder for each node, and clears that."""

    def load(self) -> Path:
        """The path of the folder."""
        return self._path.resolve()

    def save(self, data: NoReturn) -> None:
        """Not meant to be an output."""
        raise DatasetError("a scratch folder is an input: nodes write into it themselves")

    def _exists(self) -> bool:
        return True
