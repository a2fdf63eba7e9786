"""How processes of our own are started, and that they end."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.context import ForkServerContext, SpawnContext


def clean_processes() -> ForkServerContext | SpawnContext:
    """How to start processes: from a clean server process where there is one (all but Windows).

    Forking this process is not safe once it has run torch, OpenMP or decoder threads; spawning
    imports everything anew in each process.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    # Unblocks SIGINT when it starts its own process, so it has to run before that is blocked.
    resource_tracker.ensure_running()
    # Neither the server nor its children may hear a Ctrl-C: this process ends them. They inherit
    # what is blocked; here, a Ctrl-C that comes in the meantime waits. Ignored, it would be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return multiprocessing.get_context("forkserver")


def preload(module: str) -> None:
    """Have the server import a module once for all processes, if it has not started yet."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__", module])


def end_with_starter() -> None:
    """From now on, end this process as soon as the one that started it is gone, however it went.

    Its parent, by which PyTorch's loaders judge, is the server process, which outlives that one as
    long as there are processes that it made.
    """
    threading.Thread(target=_end_after_starter, daemon=True).start()


def _end_after_starter() -> None:
    if starter := multiprocessing.parent_process():
        starter.join()
        os._exit(1)
