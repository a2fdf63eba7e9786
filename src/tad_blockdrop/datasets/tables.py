"""kedro-datasets' local file types, saved whole or not at all.

The originals open the final path and write into it, so that a killed run leaves half a file which
then counts as existing. Here the same classes write to a temporary sibling that is renamed, and
what they load is what was written.
"""

import inspect
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pandas as pd
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset, ParquetDataset
from kedro_datasets.plotly import JSONDataset as PlotlyJSONDataset
from kedro_datasets.text import TextDataset

from tad_blockdrop.checksums import Origins, verify
from tad_blockdrop.datasets.folder import VersionedFolder
from tad_blockdrop.reporting.result_table import unit_column
from tad_blockdrop.storage.atomic import atomic_write, sealed_write
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.storage.project_paths import stored_paths, usable_paths
from tad_blockdrop.storage.spreadsheet import READING, guard_cells, restore_cells


class WholeFile:
    """Mixin before a kedro-datasets class whose ``save`` writes to ``_get_save_path()``."""

    written: Path | None = None  # the file of the last save
    _writing_to: Path | None = None

    def _get_save_path(self) -> PurePosixPath:
        if self._writing_to is not None:
            return PurePosixPath(self._writing_to.as_posix())
        path: PurePosixPath = super()._get_save_path()  # type: ignore[misc]
        return path

    def save(self, data: Any) -> None:
        """Save through the original class, to a temporary sibling first."""
        path = Path(self._get_save_path())
        with self._writing(path) as temporary:
            self._writing_to = temporary
            try:
                # Kedro wraps every save; the outer wrapper (ours) is the one that must act.
                inspect.unwrap(super().save.__func__)(self, data)  # type: ignore[misc]
            finally:
                self._writing_to = None
        self.written = path

    def _writing(self, path: Path) -> AbstractContextManager[Path]:
        return atomic_write(path)


class SealedFile(WholeFile):
    """The same with a checksum beside the file, which a load verifies."""

    origins: Origins = MappingProxyType({})  # what the data were made from: see hooks/origins.py

    def load(self) -> Any:
        """Load through the original class what is found to be as it was written."""
        seal = verify(Path(self._get_load_path()))  # type: ignore[attr-defined]
        self.origins = seal.origins if seal else {}
        return inspect.unwrap(super().load.__func__)(self)  # type: ignore[misc]

    def _writing(self, path: Path) -> AbstractContextManager[Path]:
        return sealed_write(path, self.origins)


class UnthreadedParquet(ParquetDataset):
    """Reads without threads, which may not start."""

    def load(self) -> pd.DataFrame:
        """Read the file."""
        return read_parquet(str(self._get_load_path()))


class ParquetTable(SealedFile, UnthreadedParquet):
    """A pandas table as Parquet."""


class VideoTable(ParquetTable):
    """A table with a ``path`` per video: inside the project they are relative, on disk."""

    def load(self) -> pd.DataFrame:
        """The table with the paths as they are here."""
        table = inspect.unwrap(super().load.__func__)(self)  # type: ignore[attr-defined]
        return usable_paths(table, Path(self._filepath))

    def save(self, data: pd.DataFrame) -> None:
        """Save the table so that the project can be moved."""
        stored = stored_paths(data, Path(self._filepath))
        inspect.unwrap(super().save.__func__)(self, stored)  # type: ignore[attr-defined]


class CSVTable(SealedFile, CSVDataset):
    """A pandas table as CSV, safe to be opened in a spreadsheet (``storage.spreadsheet``)."""

    DEFAULT_LOAD_ARGS = READING

    def load(self) -> pd.DataFrame:
        """The table that was saved."""
        return restore_cells(inspect.unwrap(super().load.__func__)(self))  # type: ignore[attr-defined]

    def save(self, data: pd.DataFrame) -> None:
        """Save it without formulas."""
        inspect.unwrap(super().save.__func__)(self, guard_cells(data))  # type: ignore[attr-defined]


class ResultTable(CSVTable):
    """A result table as CSV: dropped blocks are whole numbers, sub-layers text."""

    def load(self) -> pd.DataFrame:
        """The table that was saved."""
        table: pd.DataFrame = inspect.unwrap(super().load.__func__)(self)  # type: ignore[attr-defined]
        return table.assign(dropped_block=unit_column(table["dropped_block"]))


class JSONFile(SealedFile, JSONDataset):
    """Plain JSON."""


class PlotlyFigure(SealedFile, PlotlyJSONDataset):
    """A Plotly figure as JSON."""


class TextFile(SealedFile, TextDataset):
    """Text, such as the HTML report."""


class TextFolder(VersionedFolder[dict[str, str]]):
    """``<filepath>/<version>/<name>/``: texts by their path in it."""

    MARKER = ""

    def load(self) -> dict[str, str]:
        """Read all of them."""
        folder = Path(self._get_load_path())
        files = (file for file in sorted(folder.rglob("*")) if file.is_file())
        return {f.relative_to(folder).as_posix(): f.read_text(encoding="utf-8") for f in files}

    def save(self, data: dict[str, str]) -> None:
        """Write the folder as a whole."""
        with atomic_write(Path(self._get_save_path())) as temporary:
            temporary.mkdir(parents=True)
            for name, text in data.items():
                (temporary / name).parent.mkdir(exist_ok=True)
                (temporary / name).write_text(text, encoding="utf-8", newline="\n")

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_dir()


class LinkedPages(TextFile):
    """Texts that link to each other: the first is the entry's file, the others lie beside it."""

    def save(self, data: dict[str, str]) -> None:
        """Save texts by file name, the first one last: then all of them are there."""
        first, *others = data
        for name in others:
            with atomic_write(Path(self._get_save_path()).with_name(name)) as temporary:
                temporary.write_text(data[name], encoding="utf-8")
        super().save(data[first])
