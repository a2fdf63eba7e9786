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
        """Remember which node makes an entry, and which nodes of this run take it."""
        nodes = what_runs(run_params, pipeline, self._catalog).nodes
        self._makers = {output: node for node in nodes for output in node.outputs}
        self._takers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                self._takers.setdefault(name, []).append(node)
        self._finished: set[Node] = set()

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> dict[str, Path]:
        """Replace the folder of all nodes by that of this one."""
        return {name: inputs[name] / node.name for name in self._only(ScratchDataset, node.inputs)}

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """A node that makes nothing is finished then."""
        if not node.outputs:
            self._finish(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """A node is finished when all that it made is where it belongs."""
        if dataset_name == node.outputs[-1]:
            self._finish(node)

    def _finish(self, node: Node) -> None:
        """Clear the folders of all nodes whose work has just become safe.

        Beside this one these are such that handed it something in memory, at first hand or not:
        until now, a run that was cut would have had to make that again.
        """
        self._finished.add(node)
        for each in self._behind(node):
            if self._safe(each):
                for scratch in self._only(ScratchDataset, each.inputs):
                    shutil.rmtree(self._catalog.load(scratch) / each.name, ignore_errors=True)

    def _behind(self, node: Node) -> set[Node]:
        """The node, and those whose work it has got in memory, through others too."""
        found, left = {node}, [node]
        while left:
            handed = self._only(MemoryDataset, left.pop().inputs)
            makers = {self._makers[name] for name in handed if name in self._makers} - found
            found |= makers
            left += makers
        return found

    def _safe(self, node: Node) -> bool:
        """Whether a run that is cut now would not have to do this node again."""
        handed = self._only(MemoryDataset, node.outputs)
        takers = [taker for name in handed for taker in self._takers.get(name, [])]
        return node in self._finished and all(map(self._safe, takers))

    def _only(self, kind: type, names: list[str]) -> list[str]:
        """Those of the names that are catalog entries of a kind."""
        return [name for name in names if isinstance(self._catalog.get(name), kind)]
