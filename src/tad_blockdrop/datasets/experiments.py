"""Which experiments there are, and the parameters that each was begun with."""

import json
from typing import Any, NoReturn

import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview

from tad_blockdrop.datasets.folder import PathDataset


class ExperimentsDataset(PathDataset[NoReturn, dict[str, dict[str, Any]]]):
    """The records ``<filepath>/<experiment>/experiment.json`` that runs leave; read only.

    Each is ``{"begun": time, "parameters": {dotted key: value}}``.
    """

    def load(self) -> dict[str, dict[str, Any]]:
        """The record of every experiment, by name."""
        files = sorted(self._path.glob("*/experiment.json"))
        return {f.parent.name: json.loads(f.read_text(encoding="utf-8")) for f in files}

    def save(self, data: NoReturn) -> None:
        """Refuse: a record is made by the run that begins its experiment."""
        raise DatasetError("records of experiments are written by their runs")

    def preview(self) -> TablePreview:
        """Names and times, for kedro-viz."""
        begun = [(name, record["begun"]) for name, record in self.load().items()]
        return TablePreview(pd.DataFrame(begun, columns=["name", "begun"]).to_dict("split"))

    def _exists(self) -> bool:
        return self._path.is_dir()
