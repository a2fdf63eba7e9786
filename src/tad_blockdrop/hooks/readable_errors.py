"""Expected errors as a sentence: plain on the command line, an exception in a notebook."""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from click import ClickException, get_current_context
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.runtime.logs import escape_for_terminal, guard_handlers
from tad_blockdrop.runtime.memory import memory_sentence, warn_if_limited
from tad_blockdrop.runtime.stop_signals import ADVICE

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
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


class ReadableErrors:
    """Finds the sentence in an error of a run; an unexpected error keeps its traceback."""

    @hook_impl
    def after_context_created(self) -> None:
        """Before the first name from outside is logged."""
        guard_handlers()
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
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline, catalog: Any) -> None:
        """Raise the error that is meant for people instead, if there is one."""
        readable = _readable(error, pipeline, catalog)
        if readable is not None:
            with plain_on_command_line():
                raise readable


def _readable(error: Exception, pipeline: Pipeline, catalog: Any) -> BlockDropError | None:
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
    if isinstance(error, DatasetError):
        return BlockDropError(_missing(pipeline, catalog) or str(error))
    return None


def _disk_sentence(error: OSError) -> str:
    """What to tell people whose disk does not take, or give, a file."""
    where = error.filename2 or error.filename or "the disk"
    if error.errno in MISPLACED:
        return f"{where} {MISPLACED[error.errno]}"
    return f"{where}: {error.strerror or error}; free some space or check the permissions. {ADVICE}"


def _missing(pipeline: Pipeline, catalog: Any) -> str | None:
    """What to tell people who run a pipeline before those that it builds on."""
    names = [name for name in sorted(pipeline.inputs()) if not catalog.exists(name)]
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
