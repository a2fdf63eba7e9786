"""Kedro hooks: one run at a time per experiment, no mixed parameters, readable errors."""

from __future__ import annotations

import json
import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click import ClickException
from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.files import whole

logger = logging.getLogger(__name__)

EXPERIMENTS = Path("data/06_models")
# Speed and presentation: these may differ between the runs of one experiment.
FREE_KEYS = (
    "experiment",
    "predict",
    "export",
    "import_weights",
    "runtime.device",
    "runtime.threads",
    "runtime.workers",
    "data.cache",
    "runtime.decode_timeout",
    "evaluation.latency_repeats",
    "report.timelines",
)
# Top-level namespaces of the nodes that write an experiment.
STAGES = {"data", "baseline", "compress", "control", "evaluate", "report"}


class ExperimentError(ClickException):
    """A run that would spoil an experiment; shown without a traceback."""


def _stage(node: Node) -> str:
    """The top-level namespace of a node."""
    return (node.namespace or "").split(".")[0]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def result_parameters(raw: dict[str, Any]) -> dict[str, Any]:
    """The flat parameters that results depend on."""
    return {
        key: value
        for key, value in flatten(raw).items()
        if not any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)
    }


class ExperimentHooks:
    """Guards the folder of an experiment against a second run and against other parameters."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._catalog: Any = None
        self._lock: FileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the context; its parameters are compared when a run starts."""
        self._context = context

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog, to find scratch folders in it."""
        self._catalog = catalog

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Take the experiment's lock and compare parameters with those it began with."""
        context = self._context
        if context is None or not any(_stage(node) in STAGES for node in pipeline.nodes):
            return
        parameters = context.config_loader["parameters"]
        experiment = parameters["experiment"]
        folder = context.project_path / EXPERIMENTS / experiment
        folder.mkdir(parents=True, exist_ok=True)
        self._take_lock(folder, experiment)
        try:
            _refuse_mixing(
                folder / "experiment.json",
                experiment,
                result_parameters(parameters),
            )
        except BaseException:
            self._release_lock()
            raise

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Once a checkpoint is saved, the resumable state it grew from is of no use."""
        if self._catalog is not None and dataset_name.endswith("checkpoint"):
            scratch = dataset_name.removesuffix("checkpoint") + "scratch"
            if scratch in self._catalog:
                shutil.rmtree(self._catalog.load(scratch), ignore_errors=True)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let others run this experiment."""
        self._release_lock()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Let others run this experiment."""
        self._release_lock()

    def _take_lock(self, folder: Path, experiment: str) -> None:
        holder = folder / ".running"
        # The operating system drops this lock when its process dies: it cannot go stale.
        lock = FileLock(folder / ".lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
            raise ExperimentError(
                f"experiment '{experiment}' is being run by {who}: wait for it, or choose another "
                "name with --params experiment=<name>"
            ) from None
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        holder.write_text(f"process {os.getpid()}, started {now}", encoding="utf-8")
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _refuse_mixing(record: Path, experiment: str, parameters: dict[str, Any]) -> None:
    """Compare with the record of the experiment, or begin one."""
    parameters = json.loads(json.dumps(parameters))
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))["parameters"]
        keys = sorted(known.keys() | parameters.keys())
        absent = "(not set)"
        differing = [
            f"  {key}: {known.get(key, absent)} -> {parameters.get(key, absent)}"
            for key in keys
            if known.get(key, absent) != parameters.get(key, absent)
        ]
        if differing:
            raise ExperimentError(
                f"experiment '{experiment}' was begun with other parameters:\n"
                + "\n".join(differing)
                + "\nIts results would be mixed with new ones. Give the new run a name of its own "
                "(--params experiment=<name>), or delete the old one with "
                f"`kedro versions --experiment {experiment} --delete`."
            )
        return
    with whole(record) as temporary:
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"begun": begun, "parameters": parameters}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


class ReadableErrorHooks:
    """Shows expected errors as a sentence; anything else keeps its traceback."""

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Turn an error that is meant for people into one without a traceback."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, BlockDropError):
                logger.debug("the run failed", exc_info=error)
                raise ClickException(str(cause)) from error
            cause = cause.__cause__
        if isinstance(error, DatasetError):
            raise ClickException(str(error)) from error
