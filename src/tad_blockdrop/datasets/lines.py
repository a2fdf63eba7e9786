"""Tables that grow line by line while a node runs: whoever reads them sees each line at once."""

import json
import logging
from abc import abstractmethod
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.datasets.folder import VersionedPath
from tad_blockdrop.prediction.live.lines import COLUMNS
from tad_blockdrop.storage.spreadsheet import READING, guard_cells, restore_cells

logger = logging.getLogger(__name__)

Row = dict[str, Any]


class Lines(VersionedPath[Row, pd.DataFrame]):
    """``<filepath>/<version>/<name>``: each save appends a row, whose line is then in the file.

    A run that is killed leaves all lines that were saved. Loads as a table of ``COLUMNS``.
    """

    _file: Path | None = None  # of this run

    @abstractmethod
    def _text(self, row: Row, first: bool) -> str:
        """A row as a line, the ``first`` one below what begins the file."""

    @abstractmethod
    def _table(self, file: Path) -> pd.DataFrame:
        """All rows of a file."""

    def load(self) -> pd.DataFrame:
        """The rows so far."""
        return self._table(Path(self._get_load_path())).reindex(columns=list(COLUMNS))

    def save(self, data: Row) -> None:
        """Append a row."""
        first = self._file is None
        if self._file is None:
            self._file = Path(self._get_save_path())
            self._file.parent.mkdir(parents=True, exist_ok=True)
            logger.info("lines are appended to %s", self._file)
        with self._file.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text(data, first))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()


class CSVLines(Lines):
    """Comma-separated, with a header, safe to be opened in a spreadsheet."""

    def _text(self, row: Row, first: bool) -> str:
        table = guard_cells(pd.DataFrame([row], columns=list(COLUMNS)))
        return table.to_csv(index=False, header=first, lineterminator="\n")

    def _table(self, file: Path) -> pd.DataFrame:
        return restore_cells(pd.read_csv(file, **READING))


class JSONLines(Lines):
    """A JSON object a line, with those of ``COLUMNS`` that are known."""

    def _text(self, row: Row, first: bool) -> str:
        return json.dumps(row, ensure_ascii=False) + "\n"

    def _table(self, file: Path) -> pd.DataFrame:
        lines = file.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])
