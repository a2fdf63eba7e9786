"""An export as a catalog entry: one folder per version with the three files to ship."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version

from tad_blockdrop.export.files import ExportedModel, read_export, write_export
from tad_blockdrop.export.sidecar import SIDECAR_FILE
from tad_blockdrop.files import whole


class ExportDataset(AbstractVersionedDataset[ExportedModel, ExportedModel]):
    """``<filepath>/<version>/<name>/{model.onnx, model.pt2, model.json}``."""

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

    def load(self) -> ExportedModel:
        """Read the three files."""
        return read_export(Path(self._get_load_path()))

    def save(self, data: ExportedModel) -> None:
        """Write the folder as a whole."""
        with whole(Path(self._get_save_path())) as temporary:
            write_export(data, temporary)

    def _exists(self) -> bool:
        return (Path(self._get_load_path()) / SIDECAR_FILE).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
