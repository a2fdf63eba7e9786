"""How the graphs are written: a node is called like its function, a stage is a namespace."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, Pipeline

Entries = str | list[str] | None


def node(
    function: Callable[..., Any],
    inputs: Entries,
    outputs: Entries,
    name: str = "",
    namespace: str | None = None,
) -> Node:
    """A node from and to entries of the catalog; ``name`` where that of the function is taken.

    ``namespace``: of a node whose entries have one already; ``stage`` is for all others.
    """
    return Node(function, inputs, outputs, name=name or function.__name__, namespace=namespace)


def stage(namespace: str, *nodes: Node) -> Pipeline:
    """Nodes whose names begin with ``namespace``; their entries keep the names they have."""
    return Pipeline(nodes, namespace=namespace, prefix_datasets_with_namespace=False)
