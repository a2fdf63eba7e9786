"""Results of one generation only: each entry knows the dataset and the models it was made from."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from tad_blockdrop.storage.experiment_record import ExperimentError


class Origins:
    """Follows datasets and models through the nodes of a run, and onto the disk with their results.

    The identity of a dataset is what its tables say, that of a model its weights. What a node takes
    in may have been made from several of them, but never from two generations of one.
    """

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog: its entries have the origins of what is on disk."""
        self._catalog = catalog
        self._known: dict[str, dict[str, str]] = {}

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note what an entry was made from; for those in memory this is known.

        ``<experiment>/result_table`` was made from that experiment's models, not from this one's.
        """
        entry = self._catalog.get(dataset_name)
        if hasattr(entry, "origins"):
            experiment = dataset_name[: dataset_name.find("/") + 1]
            self._known[dataset_name] = {
                f"{experiment}{origin}": identity for origin, identity in entry.origins.items()
            }
        if identity := getattr(entry, "identity", None):
            self._known.setdefault(dataset_name, {})[dataset_name] = identity

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Refuse what does not belong together, and hand the origins on to the outputs."""
        origins: dict[str, str] = {}
        bearers: dict[str, str] = {}
        for name in node.inputs:
            for origin, identity in self._known.get(name, {}).items():
                if origins.setdefault(origin, identity) != identity:
                    raise ExperimentError(_conflict(origin, bearers[origin], name))
                bearers.setdefault(origin, name)
        for name in node.outputs:
            self._known[name] = origins
            entry = self._catalog.get(name)
            if hasattr(entry, "origins"):
                entry.origins = origins


def _conflict(origin: str, first: str, second: str) -> str:
    makers = " and ".join(name if name != origin else f"{name} itself" for name in (first, second))
    return (
        f"{makers} belong to two different versions of {origin}, and cannot be used together: make "
        "the older one again from the newer one (kedro versions --delete --from takes old results "
        "away, stage by stage), or choose versions that belong together with --load-versions"
    )
