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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel import launcher
from tad_blockdrop.parallel.failures import LostOthersError
from tad_blockdrop.parallel.group import Group, together

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
    threading.Thread(target=end_with, args=(owner,), daemon=True).start()
    here = launcher.place()
    # Without a word: whatever stops the owner, the launcher sends on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.chdir(place)
    job = Job.of_json(text)
    for other, sender in enumerate(senders):
        if other != here.rank:
            sender.close()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[here.rank]
    with reporting(job, here.rank, here.world, senders[here.rank]):
        group = meet(here.rank, here.world, bool(gpus))
        launcher.forget()
        job.work()(Path(job.folder), job.settings, group)


def meet(rank: int, world: int, gpus: bool, store: Any = None) -> Group:
    """Meet the other processes of a job, in a ``store`` or where the environment says."""
    from torch import distributed as dist

    backend = "nccl" if gpus else "gloo"
    with together():
        if store is None:
            dist.init_process_group(backend, timeout=LONG)
        else:
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=LONG)
        cpu = dist.new_group(backend="gloo", timeout=LONG) if gpus else dist.group.WORLD
    return Group(rank, world, cpu)


def end_with(owner: Connection) -> None:
    """End this process when its owner is gone, however it went."""
    try:
        owner.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def send(sender: Connection, message: Mapping[str, Any]) -> None:
    """Send JSON values."""
    sender.send_bytes(json.dumps(message).encode())


def received(receiver: Connection) -> Any:
    """What was sent. Raises EOFError or OSError when the other end is gone."""
    return json.loads(receiver.recv_bytes())


def show(message: Mapping[str, Any]) -> None:
    """Bring a log line that another process has sent into the log of this one."""
    logging.getLogger(message["name"]).log(message["level"], "%s", message["text"])


class _Sending(logging.Handler):
    """Sends log lines to the owner: all of rank 0, warnings of the others."""

    def __init__(self, rank: int, sender: Connection) -> None:
        super().__init__(logging.DEBUG if rank == 0 else logging.WARNING)
        self._rank, self._sender = rank, sender

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage()
        if self._rank:
            told = f"process {self._rank}: {told}"
        send(self._sender, {"name": record.name, "level": record.levelno, "text": told})


@contextmanager
def reporting(job: Job, rank: int, world: int, sender: Connection) -> Iterator[None]:
    """Keep a log of the job, with all output but what rank 0 draws in a terminal.

    What ends the work is sent, in words, before it goes on as an error.
    """
    program, me = logging.getLogger(PACKAGE), logging.getLogger(__name__)
    sending = _Sending(rank, sender)
    with ExitStack() as after:
        file = after.enter_context(worker_log(job.folder, rank).open("w", encoding="utf-8"))
        lines = logging.StreamHandler(file)
        lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        if rank or not sys.stderr.isatty():
            for descriptor in (1, 2):
                after.callback(_put_back, os.dup(descriptor), descriptor)
                os.dup2(file.fileno(), descriptor)
        logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)
        program.setLevel(logging.DEBUG)
        program.addHandler(sending)
        after.callback(program.removeHandler, sending)
        after.callback(logging.getLogger().removeHandler, lines)
        me.debug("rank %d of %d is process %d", rank, world, os.getpid())
        try:
            yield
        except BlockDropError as error:
            after.pop_all()  # this process ends: what it still says belongs there
            me.debug("%s", error, exc_info=True)
            send(sender, {"failed": str(error)})
            raise
        except Exception as error:
            after.pop_all()
            me.debug("it ends", exc_info=True)
            if isinstance(error, LostOthersError):
                time.sleep(SECONDS_TO_BE_ENDED)
            send(sender, {"crashed": f"{type(error).__name__}: {error}"})
            raise


def _put_back(copy: int, descriptor: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(copy, descriptor)
    os.close(copy)
