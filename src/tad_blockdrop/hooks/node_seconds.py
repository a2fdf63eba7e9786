"""How long each node of an experiment took, which the cost table reads."""

import json
import time
from pathlib import Path

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tad_blockdrop.checksums import DamagedError, verify
from tad_blockdrop.hooks.experiment import ExperimentHook, namespaces
from tad_blockdrop.storage.atomic import sealed_write
from tad_blockdrop.storage.experiment_record import STAGE_OF

MEASURED = STAGE_OF.keys() - {"data"}  # namespaces of the long work
FILE = "data/07_model_output/{}/node_seconds.json"


class NodeSeconds(ExperimentHook):
    """Keeps ``{node name: seconds of its last run}`` in a file; a resumed node counts anew."""

    _file: Path | None = None
    _begin = 0.0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Find the experiment's file, and make it if there is none."""
        experiment = self._experiment(pipeline)
        self._file = None
        if experiment is not None and namespaces(pipeline) & MEASURED:
            self._file = experiment.project / FILE.format(experiment.name)
            if not self._file.is_file():
                self._write({})

    @hook_impl
    def before_node_run(self) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Stop it."""
        if self._file:
            known = _read(self._file)
            self._write(known | {node.name: round(time.perf_counter() - self._begin, 3)})

    def _write(self, seconds: dict[str, float]) -> None:
        assert self._file is not None
        with sealed_write(self._file) as temporary:
            temporary.write_text(json.dumps(seconds, indent=1), encoding="utf-8")


def _read(file: Path) -> dict[str, float]:
    verify(file)
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise DamagedError(f"{file} holds no seconds of nodes: remove it; they are counted anew")
    return known
