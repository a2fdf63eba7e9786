"""An export as a catalog entry: one folder per version with the files to ship."""

from pathlib import Path

from tad_blockdrop.checksums import verify
from tad_blockdrop.datasets.folder import VersionedFolder
from tad_blockdrop.export.bundle import ExportedModel, read_export, write_export
from tad_blockdrop.export.sidecar import SIDECAR_FILE
from tad_blockdrop.storage.atomic import sealed_write


class ExportDataset(VersionedFolder[ExportedModel]):
    """``<filepath>/<version>/<name>/``: ``model.onnx``, ``model.pt2``, ``model.json``.

    And ``README.md``, its model card, and ``model_int8.onnx`` if there is one.
    """

    MARKER = SIDECAR_FILE

    def load(self) -> ExportedModel:
        """Read the files, as they were written."""
        verify(Path(self._get_load_path()))
        return read_export(Path(self._get_load_path()))

    def save(self, data: ExportedModel) -> None:
        """Write the folder as a whole."""
        with sealed_write(Path(self._get_save_path()), self.origins) as temporary:
            write_export(data, temporary)
