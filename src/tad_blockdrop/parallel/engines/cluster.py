"""Processes that Ray places, on this machine or on those of a cluster (``runtime.engine: ray``).

They are plain actors, in a placement group so that all come at once or none, which meet in a
process group of torch as everywhere. Not Ray Train: what it adds, sharding of data, its own
checkpoints and results, has no use here, and it takes as long to start as a small job does.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from concurrent import futures
from contextlib import suppress
from functools import cache
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.failures import GONE, WorkerFailedError, told
from tad_blockdrop.parallel.group import together
from tad_blockdrop.parallel.job import Job, end_with, meet, received, reporting, show, worker_log
from tad_blockdrop.parallel.shared_files import await_file

SECONDS_TO_ANSWER = 60.0
SECONDS_TO_PLACE = 600.0  # on a cluster that others use as well
# An operation fails at once where another process was killed; Ray takes longer to notice that.
SECONDS_FOR_OTHERS = 15.0
_workers: list[Any] = []  # actors, of the process that runs the pipeline


class EngineError(BlockDropError):
    """The processes that ``runtime.engine`` asks for cannot be had."""


def devices(runtime: RuntimeConfig) -> tuple[str, int]:
    """What a cluster has for its processes: ``GPU`` or ``CPU``, and how many of these.

    Starts a cluster on this machine if ``runtime.address`` is none. Raises EngineError.
    """
    _connect(runtime.address)
    import ray

    there = ray.cluster_resources()
    kind = "GPU" if runtime.device != "cpu" and there.get("GPU", 0) >= 1 else "CPU"
    return kind, int(there.get(kind, 0))


def run(job: Job, processes: int, runtime: RuntimeConfig) -> None:
    """Do ``job`` with so many processes, each with a GPU if the cluster has any.

    They stay for the next job. Raises WorkerFailedError, with the reason, once one of them has
    failed; the others are ended then, as they are by whatever ends this process.
    """
    kind, _ = devices(runtime)
    import ray

    try:
        if (missing := processes - len(_workers)) > 0:
            _workers.extend(_place(missing, kind))
        _do(job, _workers[:processes], kind == "GPU")
    except BaseException as error:
        while _workers:
            ray.kill(_workers.pop())
        if isinstance(error, ray.exceptions.RayError):
            raise EngineError(
                f"Ray cannot start the processes ({last_line(error)}): its machines need the same "
                "tad_blockdrop, installed"
            ) from error
        raise


def _place(processes: int, kind: str) -> list[Any]:
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    wants = {"CPU": 1, kind: 1}
    places = placement_group([wants] * processes, strategy="PACK")
    try:
        places.ready().future().result(SECONDS_TO_PLACE)
    except TimeoutError:
        raise EngineError(
            f"Ray has found no place for {processes} processes with {wants} each within "
            f"{SECONDS_TO_PLACE / 60:.0f} minutes: ask for fewer with runtime.devices, or wait for "
            "those that use the cluster"
        ) from None
    actor = ray.remote(num_cpus=1, num_gpus=wants.get("GPU", 0))(_Worker)
    return [
        actor.options(scheduling_strategy=PlacementGroupSchedulingStrategy(places, i)).remote()
        for i in range(processes)
    ]


def _do(job: Job, workers: list[Any], gpus: bool) -> None:
    import ray

    world = len(workers)
    nodes = _results([worker.node.remote() for worker in workers])
    cores = {node["NodeID"]: node["Resources"].get("CPU", 1) for node in ray.nodes()}
    (meeting,) = _results([workers[0].meeting.remote()])
    running = {}
    for rank, (worker, node) in enumerate(zip(workers, nodes, strict=True)):
        threads = max(1, int(cores[node[0]] // nodes.count(node)))
        given = job.to_json(), rank, world, gpus, threads, meeting, str(Path.cwd()), _ear()
        running[worker.work.remote(*given).future()] = rank
    crashes: dict[int, str] = {}  # by rank
    while running and GONE not in crashes.values():
        patience = SECONDS_FOR_OTHERS if crashes else None
        done, _ = futures.wait(running, timeout=patience, return_when=futures.FIRST_COMPLETED)
        if not done:
            break
        future = done.pop()
        rank = running.pop(future)
        try:
            failed, crashed = future.result()
        except ray.exceptions.RayActorError:
            failed, crashed = "", GONE
        if failed:
            raise WorkerFailedError(failed)
        if crashed:
            crashes[rank] = crashed
    if crashes:
        rank = next((rank for rank, how in crashes.items() if how == GONE), min(crashes))
        who = f"process {rank} of {world}, on {nodes[rank][1]},"
        raise WorkerFailedError(told(who, crashes[rank], worker_log(job.folder, rank)))


def _results(references: list[Any]) -> list[Any]:
    """What Ray has made; unlike ``ray.get``, it lets the handlers of signals raise what they do."""
    return [future.result() for future in [reference.future() for reference in references]]


class _Worker:
    """An actor: a process that does jobs, until one fails."""

    def node(self) -> tuple[str, str]:
        """Ray's name for its machine, and that which people use."""
        import ray

        return ray.get_runtime_context().get_node_id(), socket.gethostname()

    def meeting(self) -> tuple[str, int]:
        """Open a place to meet, on the machine of rank 0; host and port."""
        import ray
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        address = ray.util.get_node_ip_address()
        self._store = TCPStore(address, 0, is_master=True, wait_for_workers=False)
        return address, self._store.port

    def work(
        self, text: str, rank: int, world: int, gpus: bool, threads: int, meeting: tuple[str, int],
        place: str, ear: tuple[str, int, str],
    ) -> tuple[str, str]:  # fmt: skip
        """Do the job. Empty strings, or how it failed: for people, or for programmers."""
        import torch
        from torch import distributed as dist
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        try:
            host, port, secret = ear
            link: Connection = Client((host, port), authkey=secret.encode())
            threading.Thread(target=end_with, args=(link,), daemon=True).start()
            job = Job.of_json(text)
            await_file(Path(job.folder), f"process {rank} of {world}, on {socket.gethostname()},")
            os.chdir(place)
            torch.set_num_threads(threads)  # Ray allows one
            with reporting(job, rank, world, link):
                with together():
                    store = TCPStore(*meeting, is_master=False) if rank else self._store
                job.work()(Path(job.folder), job.settings, meet(rank, world, gpus, store))
                dist.destroy_process_group()
        except BlockDropError as error:
            return str(error), ""
        except Exception as error:
            return "", f"{type(error).__name__}: {error}"
        return "", ""


@cache
def _ear() -> tuple[str, int, str]:
    """Where workers send their log lines until this process ends: host, port and a secret."""
    import ray

    address, secret = ray.util.get_node_ip_address(), secrets.token_hex(16)
    door = Listener((address, 0), authkey=secret.encode())
    threading.Thread(target=_let_in, args=(door,), name="ray lines", daemon=True).start()
    return address, door.address[1], secret  # type: ignore[return-value]


def _let_in(door: Listener) -> None:
    while True:
        with suppress(AuthenticationError, OSError, EOFError):  # a stranger
            threading.Thread(target=_hear, args=(door.accept(),), daemon=True).start()


def _hear(link: Connection) -> None:
    with suppress(OSError, EOFError):
        while True:
            message = received(link)
            if "text" in message:  # else a reason, which its work returns
                show(message)


def _connect(address: str | None) -> None:
    """Be part of the cluster at ``address``, or of one on this machine. Raises EngineError."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves this machine
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # 30 are few for a busy machine
    try:
        import ray
    except ImportError:
        raise EngineError(
            "runtime.engine is 'ray', but Ray is not installed: pip install 'tad-blockdrop[ray]', "
            "or set runtime.engine to 'local'"
        ) from None
    if ray.is_initialized():
        return
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what fails is told in a sentence of ours
    if address is not None and address != "auto":
        _check_answers(address)
    given: dict[str, Any] = {"address": address}
    if address is None:
        given = {"address": "local", "include_dashboard": False, "object_store_memory": 10**8}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**given, configure_logging=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds
        raise EngineError(
            f"Ray at {address or 'this machine'} cannot be used ({_lines(error)[0]})"
        ) from error
    finally:
        for number, handler in handlers.items():  # which Ray replaces
            signal.signal(number, handler)


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise EngineError(
            f"runtime.address is '{address}': it takes host:port of a cluster's head, which the "
            "machine of this run belongs to, 'auto' for the cluster of this machine, or null to "
            "start one here"
        )
    # In a process of its own, since Ray itself tries for a quarter of an hour.
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
        subprocess.run(check, timeout=SECONDS_TO_ANSWER, check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        why = error.strerror if isinstance(error, OSError) else "or not to this machine"
        raise EngineError(
            f"no Ray cluster answers at {address} ({why}): see to it that 'ray start --head' runs "
            "there, with the same version of Ray and the token of this machine, or leave "
            "runtime.address at null"
        ) from None


def last_line(error: BaseException) -> str:
    """Of the message of an error of Ray, which tells first what has failed and last by what."""
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
