"""Resumable state: a folder for each node, which goes once it is of no use."""

import shutil
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tad_blockdrop.datasets.scratch import ScratchDataset
from tad_blockdrop.hooks.what_runs import what_runs


class ScratchFolders:
    """Gives a node that takes ``scratch`` a folder of its own there, and clears it afterwards."""

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog, to tell scratch and what is only in memory from the rest."""
        self._catalog = catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Remember which node makes an entry, and what nodes of this run take."""
        nodes = what_runs(run_params, pipeline, self._catalog).nodes
        self._makers = {output: node.name for node in nodes for output in node.outputs}
        self._taken = {name for node in nodes for name in node.inputs}

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> dict[str, Path]:
        """Replace the folder of all nodes by that of this one."""
        return {name: inputs[name] / node.name for name in self._only(ScratchDataset, node.inputs)}

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Clear the folder once all that a node made is on disk.

        Also those of the nodes that handed it something in memory: until now, a run that was cut
        would have had to make that again.
        """
        kept_in_memory = self._taken.intersection(self._only(MemoryDataset, node.outputs))
        if dataset_name != node.outputs[-1] or kept_in_memory:
            return
        handed = self._only(MemoryDataset, node.inputs)
        done = {node.name} | {self._makers[name] for name in handed if name in self._makers}
        for scratch in self._only(ScratchDataset, node.inputs):
            for name in done:
                shutil.rmtree(self._catalog.load(scratch) / name, ignore_errors=True)

    def _only(self, kind: type, names: list[str]) -> list[str]:
        """Those of the names that are catalog entries of a kind."""
        return [name for name in names if isinstance(self._catalog.get(name), kind)]
