"""Starts the processes of a job on this machine and waits for them: PyTorch's elastic launcher.

It runs inside the calling process, so that a pipeline's node stays one call. What it changes there,
the handlers of signals, is put back.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tad_blockdrop.parallel.failures import WorkerFailedError, ended_by, told
from tad_blockdrop.parallel.job import Job, received, serve, show, worker_log
from tad_blockdrop.parallel.starting import clean_processes, preload

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")


def run(job: Job, processes: int, gpus: Sequence[str] = ()) -> None:
    """Do ``job`` with so many processes, each with one of ``gpus`` or all on the CPU.

    Raises WorkerFailedError, with the reason, once one of them has failed; the others are ended
    then. A stop signal ends them too and goes on to the handler that was there before. Only the
    main thread can do this.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if threading.current_thread() is not threading.main_thread():
        raise WorkerFailedError(
            "runtime.devices needs a run in the main thread, which starts processes and hears "
            "stop signals: run it there, or set runtime.devices to 1"
        )
    preload(job.function.partition(":")[0])
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"job-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        start_method=clean_processes().get_start_method(),
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "launcher")),
        signals_to_handle=",".join(name for name in SIGNALS if hasattr(signal, name)),
    )
    stopped = None
    with _handlers_put_back(), Relay(processes) as relay, _quiet_launcher():
        launch = elastic_launch(config, serve)
        try:
            launch(job.to_json(), list(gpus), str(Path.cwd()), relay.senders, relay.lifeline)
        except SignalException as error:
            stopped = error.sigval
        except ChildFailedError as error:
            first, failure = error.get_first_failure()
            relay.finish()
            raise WorkerFailedError(
                relay.said(first)
                or told(
                    f"process {first} of {processes}",
                    ended_by(failure.exitcode, relay.crashes.get(first)),
                    worker_log(folder, first),
                )
            ) from None
    if stopped is not None:
        signal.raise_signal(stopped)


def gpu_names(count: int) -> list[str]:
    """What CUDA calls the first ``count`` GPUs of this process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    return names[:count]


class Relay:
    """Brings the log lines of the processes into the log of this one; knows why one failed.

    ``senders``: their ends, by rank. ``lifeline``: an end that the processes hold, and that says
    when this one is gone. A pipe for each needs no lock, which one that is killed might hold.
    """

    def __init__(self, processes: int) -> None:
        pipes = [multiprocessing.Pipe(duplex=False) for _ in range(processes)]
        self._receivers: dict[Connection, int] = {end: rank for rank, (end, _) in enumerate(pipes)}
        self.senders = [sender for _, sender in pipes]
        self.lifeline, self._held = multiprocessing.Pipe(duplex=False)
        self.reasons: dict[int, str] = {}  # in sentences for people
        self.crashes: dict[int, str] = {}  # in words for those who mend the program
        self._closed, self._close = multiprocessing.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._receive, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.finish()
        for end in (*self._receivers, *self.senders, self.lifeline, self._held, self._closed):
            end.close()

    def said(self, first: int) -> str | None:
        """A sentence that a process gave as its reason, best that of rank ``first``."""
        return self.reasons.get(first) or next(iter(self.reasons.values()), None)

    def finish(self) -> None:
        """Wait for what was sent until now; the processes have ended."""
        self._close.close()
        self._thread.join(timeout=10)  # one that was killed may have left half a line

    def _receive(self) -> None:
        """Until there is nothing more to read and ``finish`` was called."""
        ended = False
        while True:
            open_ends = [*self._receivers, *([] if ended else [self._closed])]
            ready = wait(open_ends, timeout=0 if ended else None)
            messages = [end for end in ready if end is not self._closed]
            ended = ended or self._closed in ready
            if ended and not messages:
                return
            for end in messages:
                self._take(end)

    def _take(self, end: Any) -> None:
        message = received(end)
        rank = self._receivers[end]
        if "failed" in message:
            self.reasons[rank] = message["failed"]
        elif "crashed" in message:
            self.crashes[rank] = message["crashed"]
        else:
            show(message)


@contextmanager
def _handlers_put_back() -> Iterator[None]:
    """Give back the handlers of signals, which the launcher replaces and keeps."""
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet_launcher() -> Iterator[None]:
    """Without the launcher's own lines: what fails is told in a sentence of ours."""
    known = [name for name in logging.root.manager.loggerDict if name.startswith("torch.")]
    with ExitStack() as back:
        for log in map(logging.getLogger, known):
            back.callback(log.setLevel, log.level)
            log.setLevel(logging.CRITICAL)
        yield
