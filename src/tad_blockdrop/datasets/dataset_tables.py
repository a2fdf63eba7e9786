"""The checked dataset as one catalog entry: three files in one folder."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from tad_blockdrop.checksums import DamagedError, Seal, verify
from tad_blockdrop.storage.atomic import sealed_write
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.storage.project_paths import own_paths, stored_paths, usable_paths
from tad_blockdrop.video.action_dataset import ActionDataset

IDENTITY = "dataset"  # among the origins of the class list, which is written last


class DatasetTables(AbstractDataset[ActionDataset, ActionDataset]):
    """``<filepath>/``: ``videos.parquet``, ``instances.parquet`` and ``classes.json``.

    ``identity``: that of the dataset that was loaded or saved last.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """``filepath``: the folder."""
        self._folder = Path(filepath)
        self.metadata = metadata
        self.identity: str | None = None

    @property
    def _files(self) -> tuple[Path, Path, Path]:
        names = ("videos.parquet", "instances.parquet", "classes.json")
        videos, instances, classes = (self._folder / name for name in names)
        return videos, instances, classes

    def load(self) -> ActionDataset:
        """Read the three files, as they were written together."""
        videos, instances, classes = self._files
        seals = [verify(file) for file in self._files]
        names = json.loads(classes.read_text(encoding="utf-8"))
        table = usable_paths(read_parquet(videos), videos)
        known = _identity(seals[-1])
        if known is None:
            table = table.assign(path=own_paths(table["path"], videos))
        found = ActionDataset(table, read_parquet(instances), tuple(names))
        if known not in (None, found.identity):
            raise DamagedError(
                f"the tables in {self._folder} were not written together: restore those of one "
                "run, or run the data pipeline again"
            )
        self.identity = found.identity
        return found

    def save(self, data: ActionDataset) -> None:
        """Write the three files, each as a whole; without the last one there is no dataset."""
        videos, instances, classes = self._files
        classes.unlink(missing_ok=True)
        for path, table in (
            (videos, stored_paths(data.videos, videos)),
            (instances, data.instances),
        ):
            with sealed_write(path) as temporary:
                table.to_parquet(temporary)
        with sealed_write(classes, {IDENTITY: data.identity}) as temporary:
            temporary.write_text(json.dumps(list(data.classes), indent=1), encoding="utf-8")
        self.identity = data.identity

    def _exists(self) -> bool:
        return all(path.is_file() for path in self._files)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _identity(seal: Seal | None) -> str | None:
    return seal.origins.get(IDENTITY) if seal else None
