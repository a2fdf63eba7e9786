"""A checkpoint as a catalog entry: one folder per version, weights plus readable metadata."""

import json
from pathlib import Path

from kedro_datasets._typing import JSONPreview

from tad_blockdrop.checksums import Seal, seal_of
from tad_blockdrop.datasets.folder import VersionedFolder
from tad_blockdrop.detector.checkpoint import (
    CONFIG_FILE,
    Checkpoint,
    read_checkpoint,
    stated_identity,
    write_checkpoint,
)
from tad_blockdrop.storage.atomic import sealed_write


class CheckpointDataset(VersionedFolder[Checkpoint]):
    """``<filepath>/<version>/<name>/{weights.safetensors, config.json}``.

    A save becomes visible in one rename, so a killed one leaves nothing; a load verifies both files
    against the checksums beside them.
    """

    MARKER = CONFIG_FILE

    identity: str | None = None  # of the model that was loaded or saved last: its weights

    def load(self) -> Checkpoint:
        """Read and verify the checkpoint."""
        folder = Path(self._get_load_path())
        checkpoint = read_checkpoint(folder)
        sums = seal_of(folder)
        self.origins = Seal.read(sums).origins if sums.is_file() else {}
        self.identity = stated_identity(folder)
        return checkpoint

    def save(self, data: Checkpoint) -> None:
        """Write the checkpoint as a whole."""
        with sealed_write(Path(self._get_save_path()), self.origins) as temporary:
            write_checkpoint(data, temporary)
            self.identity = stated_identity(temporary)

    def preview(self) -> JSONPreview:
        """The metadata, for kedro-viz."""
        text = (Path(self._get_load_path()) / CONFIG_FILE).read_text(encoding="utf-8")
        return JSONPreview(json.dumps(json.loads(text)))
