"""Refuses entries of ours that are to lie in an object store, which they cannot."""

from typing import Any

from kedro.framework.hooks import hook_impl

from tad_blockdrop.errors import BlockDropError

OURS = "tad_blockdrop."


class NotLocalError(BlockDropError):
    """Entries that are not on a file system."""


class LocalFiles:
    """Finds filepaths with a protocol: taken for a path, they would become a folder ``s3:``."""

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Remember the entries as they are written."""
        self._entries = conf_catalog

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Refuse the run, naming all such entries."""
        remote = {
            name: file
            for name, entry in self._entries.items()
            if isinstance(entry, dict) and str(entry.get("type")).startswith(OURS)
            for file in _strings(entry.get("filepath")) + _strings(entry.get("videos"))
            if "://" in file
        }
        if remote:
            raise NotLocalError(
                "these entries of the catalog must be files of a file system, with no protocol: "
                + "; ".join(f"{name} ({file})" for name, file in sorted(remote.items()))
                + ". Copy or mount what lies in an object store (docs/scale.md)"
            )


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
