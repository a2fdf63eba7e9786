"""Says where the pages are that a run has written for people."""

import logging
from typing import Any

from kedro.framework.hooks import hook_impl

from tad_blockdrop.runtime.logs import escape_line

logger = logging.getLogger(__name__)


class Pages:
    """Names the file of a page, which its version makes hard to guess."""

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog, to know an entry's file."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Name the file of a page that was saved."""
        from tad_blockdrop.datasets.tables import TextFile

        entry = self._catalog.get(dataset_name)
        if isinstance(entry, TextFile) and entry.written is not None:
            logger.info("Open this page in a browser:")
            # On a line of its own, which the log would break where the terminal ends.
            print(escape_line(str(entry.written)))
            logger.debug("%s", entry.written)
            if dataset_name == "predictions_page":
                experiment = entry.written.parent.parent.parent.name
                logger.info("To correct it: kedro review --experiment %s", experiment)
