"""Resumable state goes once it is of no use."""

import shutil
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import MemoryDataset
from kedro.pipeline.node import Node

from tad_blockdrop.datasets.scratch import ScratchDataset


class ScratchCleanUp:
    """Clears the scratch folder of a node that has finished."""

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog, to find scratch folders in it."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Once all that a node made is on disk, the state that it grew from is of no use."""
        catalog = self._catalog
        if dataset_name != node.outputs[-1] or any(
            isinstance(catalog.get(name), MemoryDataset) for name in node.outputs
        ):
            return
        for name in node.inputs:
            if isinstance(catalog.get(name), ScratchDataset):
                shutil.rmtree(catalog.load(name), ignore_errors=True)
