"""A piece of work for several processes, and the life of one that does it.

The work is a function of the program, named; what it is given are JSON values and files in a
folder, and there it leaves its results.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.group import Group

PACKAGE = "tad_blockdrop"
# Shares of a long pass may end hours apart. One whose process has died is not waited for: then
# the launcher ends them all.
LONG = timedelta(days=7)
# An operation fails as soon as another process is gone, and which of the two ends is noticed first
# would be chance. So the one that has lost another waits to be ended with all; not for ever.
SECONDS_TO_BE_ENDED = 60.0

Work = Callable[[Path, Mapping[str, Any], Group], None]


@dataclass(frozen=True)
class Job:
    """``function``: module and name of a :data:`Work`, as ``tad_blockdrop.jobs.scoring:work``.

    ``folder`` (absolute) holds its inputs, and then its results; ``settings`` are JSON values.
    """

    function: str
    folder: str
    settings: Mapping[str, Any]

    def work(self) -> Work:
        """The function."""
        module, _, name = self.function.partition(":")
        work: Work = getattr(import_module(module), name)
        return work

    def to_json(self) -> str:
        """As ``of_json`` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Job:
        """The job that ``to_json`` wrote."""
        return cls(**json.loads(text))


def worker_log(folder: str | Path, rank: int) -> Path:
    """The log file of a process."""
    return Path(folder) / f"worker-{rank}.log"


def serve(
    text: str, gpus: Sequence[str], place: str, senders: Sequence[Connection], owner: Connection
) -> None:
    """Do a job as one of its processes; which one, the launcher's environment says.

    ``gpus``: names of the CUDA device of each rank, none on a CPU; ``place``: the folder to run in;
    ``senders``: for each rank where its log lines go; ``owner`` ends when the owner is gone.
    """
    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    # Without a word: whatever stops the owner, the launcher sends on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.chdir(place)
    job = Job.of_json(text)
    for other, sender in enumerate(senders):
        if other != rank:
            sender.close()
    _log_to(job.folder, rank, senders[rank])
    logging.getLogger(__name__).debug("rank %d of %d is process %d", rank, world, os.getpid())
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[rank]
    try:
        job.work()(Path(job.folder), job.settings, _join_group(rank, world, bool(gpus)))
    except BlockDropError as error:
        logging.getLogger(__name__).debug("%s", error, exc_info=True)
        _send(senders[rank], {"failed": str(error)})
        raise
    except Exception as error:
        logging.getLogger(__name__).debug("it ends", exc_info=True)
        if _has_lost_another(error):
            time.sleep(SECONDS_TO_BE_ENDED)
        _send(senders[rank], {"crashed": f"{type(error).__name__}: {error}"})
        raise


def _has_lost_another(error: Exception) -> bool:
    """Whether an operation of several processes failed because one of them is gone."""
    from torch import distributed as dist

    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)


def _join_group(rank: int, world: int, gpus: bool) -> Group:
    """Meet the others. After it nothing in the environment says that there are any."""
    from torch import distributed as dist

    dist.init_process_group("nccl" if gpus else "gloo", timeout=LONG)
    cpu = dist.new_group(backend="gloo", timeout=LONG) if gpus else dist.group.WORLD
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)  # Accelerate would take them for a request
    return Group(rank, world, cpu)


def _end_with(owner: Connection) -> None:
    """End this process when its owner is gone, however it went."""
    try:
        owner.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


class _Sending(logging.Handler):
    """Sends log lines to the owner: all of rank 0, warnings of the others."""

    def __init__(self, rank: int, sender: Connection) -> None:
        super().__init__(logging.DEBUG if rank == 0 else logging.WARNING)
        self._rank, self._sender = rank, sender

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage()
        if self._rank:
            told = f"process {self._rank}: {told}"
        _send(self._sender, {"name": record.name, "level": record.levelno, "text": told})


def _send(sender: Connection, message: Mapping[str, Any]) -> None:
    sender.send_bytes(json.dumps(message).encode())


def _log_to(folder: str, rank: int, sender: Connection) -> None:
    """Keep a log of our own, with all output but what rank 0 draws in a terminal."""
    file = worker_log(folder, rank)
    lines = logging.StreamHandler(file.open("w", encoding="utf-8"))
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    if rank or not sys.stderr.isatty():
        for descriptor in (1, 2):
            os.dup2(lines.stream.fileno(), descriptor)
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)
    program = logging.getLogger(PACKAGE)
    program.setLevel(logging.DEBUG)
    program.addHandler(_Sending(rank, sender))
