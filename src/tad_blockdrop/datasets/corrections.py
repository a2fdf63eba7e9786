"""What people look at and correct, as catalog entries: only ``kedro review`` adds corrections."""

from typing import NoReturn

from kedro.io import DatasetError

from tad_blockdrop.datasets.folder import PathDataset
from tad_blockdrop.review.corrections import Entry
from tad_blockdrop.review.journal import JournalError, read_journal
from tad_blockdrop.review.loading import load_reviewed
from tad_blockdrop.review.predictions import Reviewed


class CorrectionsDataset(PathDataset[NoReturn, list[Entry]]):
    """Loads the entries of ``corrections.jsonl`` in order."""

    def load(self) -> list[Entry]:
        """Read the file. Raises JournalError where there is none, or a damaged one."""
        if not self._exists():
            others = self._path.parent.parent.glob(f"*/{self._path.name}")
            found = ", ".join(sorted(file.parent.name for file in others)) or "none"
            raise JournalError(
                f"there are no corrections at {self._path} (found those of: {found}): kedro review "
                "makes some; --env chooses another environment, with its experiment"
            )
        return read_journal(self._path)

    def save(self, data: NoReturn) -> None:
        """They are people's own."""
        raise DatasetError(f"{self._path} is not written by any pipeline")

    def _exists(self) -> bool:
        return self._path.is_file()


class ReviewedDataset(PathDataset[NoReturn, Reviewed]):
    """Loads the predictions in ``data/07_model_output/<experiment>`` that can be reviewed."""

    def load(self) -> Reviewed:
        """Read them. Raises NoPredictionsError where there are none."""
        return load_reviewed(self._path.parent.parent, self._path.name)

    def save(self, data: NoReturn) -> None:
        """The entries of the predict pipeline are saved one by one."""
        raise DatasetError(f"{self._path} is written by the predict pipeline")

    def _exists(self) -> bool:
        return self._path.is_dir()
