"""A checkpoint as a catalog entry: one folder per version, weights plus readable metadata."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets._typing import JSONPreview

from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tad_blockdrop.files import whole


class CheckpointDataset(AbstractVersionedDataset[Checkpoint, Checkpoint]):
    """``<filepath>/<version>/<name>/{weights.safetensors, config.json}``.

    A save becomes visible in one rename, so a killed one leaves nothing; a load verifies the
    weights against the hash in the metadata.
    """

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

    def load(self) -> Checkpoint:
        """Read and verify the checkpoint."""
        return read_checkpoint(Path(self._get_load_path()))

    def save(self, data: Checkpoint) -> None:
        """Write the checkpoint as a whole."""
        with whole(Path(self._get_save_path())) as temporary:
            write_checkpoint(data, temporary)

    def _exists(self) -> bool:
        return (Path(self._get_load_path()) / "config.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}

    def preview(self) -> JSONPreview:
        """The metadata, for kedro-viz."""
        text = (Path(self._get_load_path()) / "config.json").read_text(encoding="utf-8")
        return JSONPreview(json.dumps(json.loads(text)))
