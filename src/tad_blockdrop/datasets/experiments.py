"""Which experiments there are, and the parameters that each was begun with."""

from dataclasses import asdict
from typing import Any, NoReturn

import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview

from tad_blockdrop.datasets.folder import PathDataset
from tad_blockdrop.storage.experiment_record import RECORD, read_record


class ExperimentsDataset(PathDataset[NoReturn, dict[str, dict[str, Any]]]):
    """The records ``<filepath>/<experiment>/experiment.json`` that runs leave; read only.

    Each is ``{"begun": time, "parameters": {dotted key: value}, ...}``, the fields of ``Record``.
    """

    def load(self) -> dict[str, dict[str, Any]]:
        """The record of every experiment, by name."""
        files = sorted(self._path.glob(f"*/{RECORD}"))
        records = {file.parent.name: read_record(file) for file in files}
        return {name: asdict(record) for name, record in records.items() if record}

    def save(self, data: NoReturn) -> None:
        """Refuse: a record is made by the run that begins its experiment."""
        raise DatasetError("records of experiments are written by their runs")

    def preview(self) -> TablePreview:
        """Names and times, for kedro-viz."""
        begun = [(name, record["begun"]) for name, record in self.load().items()]
        return TablePreview(pd.DataFrame(begun, columns=["name", "begun"]).to_dict("split"))

    def _exists(self) -> bool:
        return self._path.is_dir()
