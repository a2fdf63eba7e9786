"""Kedro hooks: one run at a time per experiment, no mixed parameters, pages named, plain errors."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click import ClickException, get_current_context
from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tad_blockdrop.datasets.scratch import ScratchDataset
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.runtime.logs import escape_for_terminal, guard_handlers
from tad_blockdrop.runtime.stop_signals import ADVICE, StopSignals
from tad_blockdrop.storage.atomic import atomic_write, sweep
from tad_blockdrop.storage.experiment_record import STAGE_OF, ExperimentError, refuse_mixing

logger = logging.getLogger(__name__)

EXPERIMENTS = Path("data/06_models")
# Checking a dataset alone settles nothing yet: parameters may change until frames are extracted.
SETTLES_DATA = "data.extract_frames"
COMPARE = "compare"  # the one pipeline that writes into no experiment
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


class ExperimentHooks:
    """Guards the folder of an experiment against a second run and against other parameters."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._catalog: Any = None
        self._lock: FileLock | None = None
        self._signals = StopSignals()

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
        spaces = {(node.namespace or "").split(".")[0] for node in pipeline.nodes}
        if context is None or spaces <= {COMPARE}:
            return
        running = {STAGE_OF[space] for space in spaces & STAGE_OF.keys()}
        checking = SETTLES_DATA not in {node.name for node in pipeline.nodes}
        settled = running - {"data"} if checking else running
        parameters = context.config_loader["parameters"]
        experiment = parameters["experiment"]
        folder = context.project_path / EXPERIMENTS / experiment
        try:
            self._take_lock(folder, experiment)
            for layer in (context.project_path / "data").glob(f"*/{experiment}"):
                sweep(layer)
            refuse_mixing(folder / "experiment.json", experiment, parameters, running, settled)
        except OSError as error:
            self._release_lock()
            raise ExperimentError(disk_sentence(error, folder)) from error
        except BaseException:
            self._release_lock()
            raise
        if get_current_context(silent=True) is not None:  # a command, no notebook
            self._signals.watch()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Once all that a node made is on disk, the resumable state it grew from is of no use."""
        catalog = self._catalog
        if dataset_name != node.outputs[-1] or any(
            isinstance(catalog.get(name), MemoryDataset) for name in node.outputs
        ):
            return
        for name in node.inputs:
            if isinstance(catalog.get(name), ScratchDataset):
                shutil.rmtree(catalog.load(name), ignore_errors=True)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let others run this experiment."""
        self._release_lock()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Let others run this experiment."""
        self._release_lock()

    def _take_lock(self, folder: Path, experiment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
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
        self._lock = lock
        with atomic_write(holder) as temporary:
            temporary.write_text(f"process {os.getpid()}, started {now}", encoding="utf-8")

    def _release_lock(self) -> None:
        self._signals.release()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class ReadableErrorHooks:
    """Shows expected errors as a sentence; anything else keeps its traceback."""

    @hook_impl
    def after_context_created(self) -> None:
        """Before the first name from outside is logged."""
        guard_handlers()

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline, catalog: Any) -> None:
        """Turn an error that is meant for people into one without a traceback."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, BlockDropError):
                logger.debug("the run failed", exc_info=error)
                raise ClickException(escape_for_terminal(str(cause))) from error
        for cause in causes:
            if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
                raise ClickException(escape_for_terminal(disk_sentence(cause))) from error
        if isinstance(error, DatasetError):
            sentence = _missing(pipeline, catalog) or str(error)
            raise ClickException(escape_for_terminal(sentence)) from error


class PageHooks:
    """Says where the pages are that a run has written for people."""

    def __init__(self) -> None:
        self._catalog: Any = None

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog, to know an entry's file."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Name the file of a page, which its version makes hard to guess."""
        from tad_blockdrop.datasets.tables import TextFile

        entry = self._catalog.get(dataset_name)
        if isinstance(entry, TextFile):
            logger.info("to be opened in a browser: %s", entry.written)


def disk_sentence(error: OSError, place: Path | None = None) -> str:
    """What to tell people whose disk does not take, or give, a file."""
    where = error.filename or place or "the disk"
    return f"{where}: {error.strerror or error}; free some space or check the permissions. {ADVICE}"


def _missing(pipeline: Pipeline, catalog: Any) -> str | None:
    """What to tell people who run a pipeline before those that it builds on."""
    names = [
        name
        for name in sorted(pipeline.inputs())
        if not name.startswith("params:") and not name.endswith("scratch")
        if name != "parameters" and not catalog.exists(name)
    ]
    if not names:
        return None
    more = f" (and {len(names) - 1} more that this pipeline needs)" if len(names) > 1 else ""
    return (
        f"this experiment has no {names[0]} yet{more}: run the job that makes it first "
        "(kedro run --pipeline compress, with the same --env and --params)"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
