"""Processes that a launcher has started: rank 0 is the run, the others do jobs with it.

The run has a connection to each of the others. It carries jobs and log lines, and its end says at
once that a process is gone, which a collective operation says late or never.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, wait
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import FrameType, TracebackType
from typing import Any, Self

from tad_blockdrop.parallel import launcher
from tad_blockdrop.parallel.failures import GONE, LostOthersError, WorkerFailedError, told
from tad_blockdrop.parallel.job import (
    SECONDS_TO_BE_ENDED,
    Job,
    meet,
    received,
    send,
    show,
    worker_log,
)
from tad_blockdrop.parallel.launcher import Place

STORE_KEY = "tad_blockdrop/run"
TO_MEET = timedelta(minutes=10)
ENOUGH = 0  # no number of a signal
SECONDS_TO_STOP = 10.0  # for what runs here; then it hangs in an operation with those that are gone

_worlds: list[World] = []  # the one that this process is rank 0 of


def world() -> World | None:
    """The processes that a launcher has started with this one, if it has."""
    return _worlds[0] if _worlds else None


class World:
    """The processes of a launcher, as rank 0 sees them inside ``with``.

    ``size``: how many there are with this one; ``local``: those on this machine; ``without_gpu``:
    one that sees none. A process that is lost ends the run with a sentence and SystemExit, as a
    stop signal does: that passes every ``except Exception``.
    """

    def __init__(self, place: Place) -> None:
        self.size, self.local = place.world, place.local_world
        self._place, self._jobs = place, 0
        self._launcher = launcher.of_torch()
        self.without_gpu = ""  # a process, if there is one
        self._job = ""  # folder of the last one
        self._reason = ""  # in a sentence: why the processes cannot go on
        self._noticed = threading.Event()  # by the main thread
        self._ending = False  # for an error of this process
        self._watcher = threading.Thread(target=self._watch, name="processes", daemon=True)
        self._done: dict[int, threading.Event] = {}
        self._ranks: dict[Connection, int] = {}
        self._hosts: dict[int, str] = {}

    def __enter__(self) -> Self:
        choose_gpu(self._place)
        self._store = open_store(self._place)
        launcher.forget()
        self._let_in()
        self._hear, self._signals = socket.socketpair()
        self._signals.setblocking(False)
        signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGUSR1, self._end)
        # What is there before a run watches for stop signals, and after.
        signal.signal(signal.SIGTERM, self._stop)
        self._watcher.start()
        _worlds.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the others: as a success if the run was one."""
        _worlds.remove(self)
        signal.set_wakeup_fd(-1)
        self._signals.send(bytes([ENOUGH]))
        self._watcher.join(timeout=10)
        if error is None or (isinstance(error, SystemExit) and not error.code):
            with suppress(OSError):  # one that is gone
                self._tell(range(1, self.size), {"end": True})
        self._let_go()

    def _let_in(self) -> None:
        """Accept the connections of the others, which then look for this project."""
        here = self.local == self.size  # then no other machine needs to reach this one
        address = "localhost" if here else own_address(self._place.master)
        secret = secrets.token_hex(16)
        with Listener(("localhost" if here else "", 0), authkey=secret.encode()) as door:
            port = door.address[1]  # type: ignore[index]
            self._store.set(STORE_KEY, f"{address} {port} {secret}")
            while len(self._ranks) < self.size - 1:
                try:
                    link = door.accept()
                except (AuthenticationError, OSError, EOFError):
                    continue  # a stranger
                keep_alive(link)
                hello = received(link)
                self._ranks[link] = hello["rank"]
                self._hosts[hello["rank"]] = hello["host"]
                if not hello["gpu"]:
                    self.without_gpu = f"process {hello['rank']}, on {hello['host']}"
        self._done = {rank: threading.Event() for rank in self._ranks.values()}
        with NamedTemporaryFile(dir=Path.cwd(), prefix=".launched-") as sign:
            self._tell(range(1, self.size), {"place": str(Path.cwd()), "sign": sign.name})
            for link in self._ranks:
                answer = received(link)
                if "failed" in answer:
                    raise WorkerFailedError(answer["failed"])

    def run(self, job: Job, processes: int, gpus: bool) -> None:
        """Do ``job`` with the first ``processes``, this one among them."""
        import torch
        from torch import distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore

        threads = torch.get_num_threads()
        self._jobs += 1
        self._job = job.folder
        others = range(1, processes)
        for rank in others:
            self._done[rank].clear()
        number, folder = self._jobs, Path(job.folder)
        order = {"job": job.to_json(), "number": number, "world": processes, "gpus": gpus}
        try:
            self._tell(others, order)
            store = PrefixStore(f"job-{number}", self._store)
            job.work()(folder, job.settings, meet(0, processes, gpus, store))
            dist.destroy_process_group()
            for rank in others:
                self._done[rank].wait()
        except Exception as error:
            # Another process is gone: that is known already, or in a moment.
            lost = isinstance(error, ConnectionError | LostOthersError)
            if lost and self._noticed.wait(SECONDS_TO_BE_ENDED):
                raise SystemExit(1) from None
            self._ending = True
            raise
        finally:
            torch.set_num_threads(threads)

    def _tell(self, ranks: range, message: dict[str, Any]) -> None:
        for link, rank in self._ranks.items():
            if rank in ranks:
                send(link, message)

    def _watch(self) -> None:
        """In a thread: take what others send, until one is lost or this process is to stop."""
        while not self._reason:
            for end in wait([*self._ranks, self._hear, *self._launcher]):
                if end in self._launcher:
                    self._reason = "the launcher of this process is gone, so the run was ended"
                elif end is self._hear:
                    heard = set(self._hear.recv(64))
                    if {signal.SIGINT, signal.SIGTERM} & heard:
                        # An operation that the main thread shares with them ends with them. Only
                        # then does it hear the signal.
                        self._let_go()
                    if {signal.SIGINT, signal.SIGTERM, ENOUGH} & heard:
                        return
                else:
                    self._take(end)
        if self._ending:
            return
        self._let_go()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        if not self._noticed.wait(SECONDS_TO_STOP):
            self._say()
            os._exit(1)

    def _take(self, link: Any) -> None:
        rank = self._ranks[link]
        try:
            message = received(link)
        except (EOFError, OSError):
            message = {"crashed": GONE}
        if "failed" in message:
            self._reason = self._reason or message["failed"]
        elif "crashed" in message:
            who = f"process {rank} of {self.size}, on {self._hosts[rank]},"
            self._reason = self._reason or told(
                who, message["crashed"], worker_log(self._job, rank) if self._job else None
            )
        elif "done" in message:
            self._done[rank].set()
        else:
            show(message)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """End the run, of which a process is lost."""
        self._noticed.set()
        # The launcher sends it now. SIG_IGN would make an error of one that has come already.
        signal.signal(signal.SIGTERM, lambda *_: None)
        self._say()
        raise SystemExit(1)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not (self._reason or self._ending):  # else the launcher sends it for that
            raise SystemExit(128 + number)

    def _say(self) -> None:
        # Not print: the signal may have come in the middle of one. Names
        # may hold what terminals obey.
        reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in self._reason)
        os.write(2, f"\nError: {reason}\n".encode())

    def _let_go(self) -> None:
        """Close the connections, with which the others end."""
        for link in self._ranks:
            with suppress(OSError):
                link.close()


def choose_gpu(place: Place) -> None:
    """Let this process see the GPU of its place only; one of its own it keeps."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(place.local_rank)
    elif len(names := visible.split(",")) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[place.local_rank % len(names)]


def open_store(place: Place) -> Any:
    """Where the processes of a launcher meet. Raises WorkerFailedError if they cannot."""
    from torch.distributed.rendezvous import rendezvous

    try:
        store, _, _ = next(rendezvous("env://", timeout=TO_MEET))
    except (RuntimeError, ValueError) as error:
        raise WorkerFailedError(
            f"process {place.rank} of {place.world}, on {socket.gethostname()}, does not find the "
            f"others at {place.master[0]}:{place.master[1]}, as its launcher says ({error})"
        ) from None
    return store


def own_address(master: tuple[str, int]) -> str:
    """How processes on other machines, which reach ``master``, reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(master)  # sends nothing
        here, there = way.getsockname()[0], way.getpeername()[0]
    # A machine may know itself by an address that others do not.
    return master[0] if here == there or here.startswith("127.") else str(here)


def keep_alive(link: Connection) -> None:
    """Have the system find out within minutes that a machine is gone without a word."""
    with socket.socket(fileno=os.dup(link.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):  # elsewhere the system's own patience, hours
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def connect(store: Any) -> Connection:
    """The connection to rank 0. Raises WorkerFailedError if there is no way."""
    address, port, secret = store.get(STORE_KEY).decode().split()
    try:
        link: Connection = Client((address, int(port)), authkey=secret.encode())
    except OSError as error:
        raise WorkerFailedError(
            f"process 0 cannot be reached at {address}:{port} from {socket.gethostname()} "
            f"({error.strerror or error}): the machines of a run need ports open to each other"
        ) from None
    keep_alive(link)
    return link
