"""An export as a catalog entry: one folder per version with the three files to ship."""

from pathlib import Path

from tad_blockdrop.datasets.folder import VersionedFolder
from tad_blockdrop.export.bundle import ExportedModel, read_export, write_export
from tad_blockdrop.export.sidecar import SIDECAR_FILE
from tad_blockdrop.storage.atomic import atomic_write


class ExportDataset(VersionedFolder[ExportedModel]):
    """``<filepath>/<version>/<name>/{model.onnx, model.pt2, model.json}``."""

    MARKER = SIDECAR_FILE

    def load(self) -> ExportedModel:
        """Read the three files."""
        return read_export(Path(self._get_load_path()))

    def save(self, data: ExportedModel) -> None:
        """Write the folder as a whole."""
        with atomic_write(Path(self._get_save_path())) as temporary:
            write_export(data, temporary)
