"""The checked dataset as one catalog entry: three files in one folder."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.video.action_dataset import ActionDataset


class DatasetTables(AbstractDataset[ActionDataset, ActionDataset]):
    """``<filepath>/``: ``videos.parquet``, ``instances.parquet`` and ``classes.json``."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """``filepath``: the folder."""
        self._folder = Path(filepath)
        self.metadata = metadata

    @property
    def _files(self) -> tuple[Path, Path, Path]:
        names = ("videos.parquet", "instances.parquet", "classes.json")
        videos, instances, classes = (self._folder / name for name in names)
        return videos, instances, classes

    def load(self) -> ActionDataset:
        """Read the three files."""
        videos, instances, classes = self._files
        names = json.loads(classes.read_text(encoding="utf-8"))
        return ActionDataset(read_parquet(videos), read_parquet(instances), tuple(names))

    def save(self, data: ActionDataset) -> None:
        """Write the three files, each as a whole."""
        videos, instances, classes = self._files
        for path, table in ((videos, data.videos), (instances, data.instances)):
            with atomic_write(path) as temporary:
                table.to_parquet(temporary)
        with atomic_write(classes) as temporary:
            temporary.write_text(json.dumps(list(data.classes), indent=1), encoding="utf-8")

    def _exists(self) -> bool:
        return all(path.is_file() for path in self._files)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
