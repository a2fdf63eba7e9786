"""Expected errors as a sentence: plain on the command line, an exception in a notebook."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click import ClickException, get_current_context
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from tad_blockdrop.errors import BlockDropError, some
from tad_blockdrop.hooks.experiment import ExperimentHook
from tad_blockdrop.runtime.logs import escape_for_terminal, guard_handlers, terminal_handlers
from tad_blockdrop.runtime.memory import memory_sentence, warn_if_limited
from tad_blockdrop.runtime.stop_signals import ADVICE
from tad_blockdrop.storage.environments import run_command
from tad_blockdrop.storage.experiment_files import having

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
SHOWN = 3  # experiments that a sentence lists
MISPLACED = {
    errno.EISDIR: "is a folder, but a file belongs there: move the folder away",
    errno.ENOTDIR: "is not in a folder: a file has the name of one of its folders; move it away",
}


@contextmanager
def plain_on_command_line() -> Iterator[None]:
    """Make a BlockDropError ``Error: <sentence>`` and exit code 1 where a command is running.

    Elsewhere, as in a notebook, it is raised as it is.
    """
    try:
        yield
    except BlockDropError as error:
        if get_current_context(silent=True) is None:
            raise
        raise ClickException(escape_for_terminal(str(error))) from error


class ReadableErrors(ExperimentHook):
    """Finds the sentence in an error of a run; an unexpected error keeps its traceback."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Before the first name from outside is logged."""
        super().after_context_created(context)
        guard_handlers()
        for handler in terminal_handlers():
            if not any(isinstance(known, ToldOnce) for known in handler.filters):
                handler.addFilter(ToldOnce())
        warn_if_limited()

    @hook_impl(wrapper=True)
    def before_pipeline_run(self) -> Generator[None, object, object]:
        """The same for what other hooks refuse."""
        with plain_on_command_line():
            try:
                return (yield)
            except OSError as error:
                raise BlockDropError(_disk_sentence(error)) from error

    @hook_impl(trylast=True)
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Raise the error that is meant for people instead, if there is one."""
        readable = _readable(error)
        if readable is None and isinstance(error, DatasetError):
            name = (run_params["pipeline_names"] or ["compress"])[0]
            readable = BlockDropError(self._missing(name, pipeline, catalog) or str(error))
        if readable is not None:
            with plain_on_command_line():
                raise readable

    def _missing(self, running: str, pipeline: Pipeline, catalog: Any) -> str | None:
        """What to tell people who run a pipeline before those that it builds on."""
        names = [name for name in sorted(pipeline.inputs()) if not catalog.exists(name)]
        own = self._named()
        if not names or own is None:
            return None
        entry = catalog.get(names[0])
        file = Path(getattr(entry, "_filepath", None) or getattr(entry, "_path", None) or "")
        stored = file.is_relative_to(own.data)  # and not in memory, or a person's own file
        # Of a comparison it is one of the two.
        experiment = file.relative_to(own.data).parts[1] if stored else own.name
        mine = experiment == own.name
        what, more = names[0].rpartition("/")[2], len(names) - 1
        command = run_command(
            own.project, experiment, "compress", environment=own.environment if mine else None
        )
        told = (
            f"experiment '{experiment}' has no {what} yet"
            + (f" (and {more} more that this pipeline needs)" if more else "")
            + f": run the job that makes it first{', with the same --params' if mine else ''}: "
            + command
        )
        others = [
            f"{name} ({run_command(own.project, name, running)})"
            for name in (having(own.data, file) if mine and stored else [])
        ]
        return told + (f". Experiments that have one: {some(others, SHOWN)}" if others else "")


class ToldOnce(logging.Filter):
    """Leaves out what Kedro logs of an error that is told in a sentence at the end of the run.

    And its advice to go on with ``--from-nodes``: here it is ``--only-missing-outputs`` that does.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is of use."""
        error = sys.exception()
        if error is None or not record.name.startswith("kedro."):
            return True
        return not record.name.startswith("kedro.runner") and _readable(error) is None


def _readable(error: BaseException) -> BlockDropError | None:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, BlockDropError):
            return cause
    for cause in causes:
        if (told := memory_sentence(cause)) is not None:
            return BlockDropError(told)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in DISK_ERRORS | MISPLACED.keys():
            return BlockDropError(_disk_sentence(cause))
    return None


def _disk_sentence(error: OSError) -> str:
    """What to tell people whose disk does not take, or give, a file."""
    where = error.filename2 or error.filename or "the disk"
    if error.errno in MISPLACED:
        return f"{where} {MISPLACED[error.errno]}"
    return f"{where}: {error.strerror or error}; free some space or check the permissions. {ADVICE}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
