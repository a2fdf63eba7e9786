"""A folder for the resumable state of one node: read as a path, never a version."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class ScratchDataset(AbstractDataset[NoReturn, Path]):
    """Loads as the path of a folder that the node may fill and must clear when it is done."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """``filepath``: the folder; it is made when something is written."""
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """The path of the folder."""
        return self._folder.resolve()

    def save(self, data: NoReturn) -> None:
        """Not meant to be an output."""
        raise DatasetError("a scratch folder is an input: nodes write into it themselves")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
