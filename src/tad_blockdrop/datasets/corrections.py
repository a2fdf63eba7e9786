"""The corrections of an experiment as a catalog entry: only ``kedro review`` adds to them."""

from typing import NoReturn

from kedro.io import DatasetError

from tad_blockdrop.datasets.folder import PathDataset
from tad_blockdrop.review.corrections import Entry
from tad_blockdrop.review.journal import read_journal


class CorrectionsDataset(PathDataset[NoReturn, list[Entry]]):
    """Loads the entries of ``corrections.jsonl`` in order."""

    def load(self) -> list[Entry]:
        """Read the file. Raises JournalError where it is damaged."""
        if not self._exists():
            raise DatasetError(f"there are no corrections at {self._path}: kedro review makes some")
        return read_journal(self._path)

    def save(self, data: NoReturn) -> None:
        """They are people's own."""
        raise DatasetError(f"{self._path} is not written by any pipeline")

    def _exists(self) -> bool:
        return self._path.is_file()
