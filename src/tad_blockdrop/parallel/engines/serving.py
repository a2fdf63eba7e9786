"""What a process of a launcher does: it is the run, or does the jobs that the run sends."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tad_blockdrop.parallel import launcher
from tad_blockdrop.parallel.engines.joined import World, choose_gpu, connect, open_store
from tad_blockdrop.parallel.job import Job, meet, received, reporting, send
from tad_blockdrop.parallel.launcher import Place
from tad_blockdrop.parallel.shared_files import NotSharedError, await_file


def take_part(run: Callable[[], None]) -> None:
    """Be what the launcher's environment says: ``run`` as rank 0, or one that shares its work.

    Raises what ``run`` raises, or WorkerFailedError if the processes do not come together.
    """
    place = launcher.place()
    if place.rank:
        serve(place)
    else:
        with World(place):
            run()


def serve(place: Place) -> None:
    """Do the jobs that rank 0 sends; ends the process with code 1 if one fails, or rank 0."""
    import torch

    # Rank 0 is told to stop as well, and decides: this process ends with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    choose_gpu(place)
    store = open_store(place)
    launcher.forget()
    link = connect(store)
    host, gpu = socket.gethostname(), torch.cuda.is_available()
    send(link, {"rank": place.rank, "host": host, "gpu": gpu})
    me = f"process {place.rank} of {place.world}, on {host},"
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(link, orders), daemon=True).start()
    project = orders.get()
    try:
        await_file(Path(project["sign"]), me)
    except NotSharedError as error:
        send(link, {"failed": str(error)})
        orders.get()  # which does not come: rank 0 ends, and this process with it
    os.chdir(project["place"])
    send(link, {"ready": True})
    while "end" not in (order := orders.get()):
        try:
            _work(order, place.rank, me, store, link)
        except Exception:  # whatever a job raises: ``reporting`` has sent it and has it in its log
            os._exit(1)
        send(link, {"done": order["number"]})


def _work(order: dict[str, Any], rank: int, me: str, store: Any, link: Connection) -> None:
    from torch import distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore

    job = Job.of_json(order["job"])
    try:
        await_file(Path(job.folder), me)
    except NotSharedError as error:
        send(link, {"failed": str(error)})
        raise
    with reporting(job, rank, order["world"], link):
        met = PrefixStore(f"job-{order['number']}", store)
        group = meet(rank, order["world"], order["gpus"], met)
        job.work()(Path(job.folder), job.settings, group)
        dist.destroy_process_group()


def _listen(link: Connection, orders: SimpleQueue[Any]) -> None:
    """Take orders, until rank 0 sends the end or is gone."""
    try:
        while True:
            order = received(link)
            orders.put(order)
            if "end" in order:
                return
    except (EOFError, OSError):
        os._exit(1)
