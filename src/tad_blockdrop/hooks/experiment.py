"""The experiment that a run writes to, for the hooks that act on its folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from tad_blockdrop.storage.environments import LOCAL
from tad_blockdrop.storage.experiment_record import RECORD

COMPARE = "compare"  # the one pipeline that writes into no experiment


@dataclass(frozen=True)
class Experiment:
    """A run's ``parameters`` (as written in the YAML files) in the folder of its ``project``."""

    project: Path
    parameters: dict[str, Any]
    environment: str = LOCAL

    @property
    def name(self) -> str:
        """The name of its folders."""
        return str(self.parameters["experiment"])

    @property
    def folder(self) -> Path:
        """Where its models, its lock and its record are."""
        return self.data / "06_models" / self.name

    @property
    def record(self) -> Path:
        """What it was begun with: storage/experiment_record.py."""
        return self.folder / RECORD

    @property
    def data(self) -> Path:
        """The folder of all layers."""
        return self.project / "data"

    def layers(self) -> Iterator[Path]:
        """Its folder in each layer of the data."""
        return self.data.glob(f"*/{self.name}")


def namespaces(pipeline: Pipeline) -> set[str]:
    """The top-level namespaces of a pipeline's nodes; the empty one for nodes without."""
    return {(node.namespace or "").split(".")[0] for node in pipeline.nodes}


class ExperimentHook:
    """Base of hooks that act on the experiment of a run."""

    _context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the context, which holds the parameters of the runs to come."""
        self._context = context

    def _experiment(self, pipeline: Pipeline) -> Experiment | None:
        """What a run of ``pipeline`` writes to; None if that is no experiment."""
        if namespaces(pipeline) <= {COMPARE}:
            return None
        return self._named()

    def _named(self) -> Experiment | None:
        """What the parameters name; None before there are any."""
        if self._context is None:
            return None
        return Experiment(
            self._context.project_path,
            self._context.config_loader["parameters"],
            self._context.env or LOCAL,
        )
