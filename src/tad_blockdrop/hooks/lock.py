"""One run at a time in an experiment."""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import UTC, datetime

from filelock import FileLock, Timeout
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from tad_blockdrop.hooks.experiment import Experiment, ExperimentHook
from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.storage.experiment_record import ExperimentError


class ExperimentLock(ExperimentHook):
    """Holds ``.lock`` in the experiment's folder; ``.running`` says who does."""

    def __init__(self) -> None:
        self._lock: FileLock | None = None

    @hook_impl(wrapper=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> Generator[None, object, object]:
        """Take the lock before all other hooks, and give it back if one of them refuses the run."""
        experiment = self._experiment(pipeline)
        try:
            if experiment is not None:
                self._take(experiment)
            return (yield)
        except BaseException:
            self._release()
            raise

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let others run this experiment."""
        self._release()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Let others run this experiment."""
        self._release()

    def _take(self, experiment: Experiment) -> None:
        experiment.folder.mkdir(parents=True, exist_ok=True)
        holder = experiment.folder / ".running"
        # The operating system drops this lock when its process dies: it cannot go stale.
        lock = FileLock(experiment.folder / ".lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
            raise ExperimentError(
                f"experiment '{experiment.name}' is being run by {who}: wait for it, or choose "
                "another name with --params experiment=<name>"
            ) from None
        self._lock = lock
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        with atomic_write(holder) as temporary:
            temporary.write_text(f"process {os.getpid()}, started {now}", encoding="utf-8")

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
