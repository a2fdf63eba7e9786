"""Pieces of work that do not need each other, on all machines of a Ray cluster."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Iterable
from concurrent import futures
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.parallel.engines.cluster import EngineError, devices, last_line
from tad_blockdrop.parallel.shared_files import NotSharedError, await_file

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 3  # of a piece whose machine is lost


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], folder: Path, runtime: RuntimeConfig
) -> Generator[Result, None, None]:
    """``function`` of each item, one for each free CPU of the cluster; results as they are ready.

    ``function``, items and results must be picklable; ``folder``, with the project, must be on a
    file system that the machines share. What a lost machine was at is done again on another. Once
    the generator is closed, nothing runs any more. Raises EngineError, NotSharedError.
    """
    devices(runtime)  # connects
    import ray

    task = ray.remote(num_cpus=1, num_gpus=0, max_retries=RETRIES)(_piece)
    with NamedTemporaryFile(dir=folder, prefix=".shared-") as sign:
        given = function, str(Path(sign.name).resolve()), str(Path.cwd())
        running = {}
        for item in items:
            reference = task.remote(item, *given)
            running[reference.future()] = reference
        try:
            while running:
                done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    yield future.result()
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, NotSharedError):
                raise cause from None
            raise EngineError(
                f"Ray cannot do the work ({last_line(error)}): its machines need the same "
                "tad_blockdrop, installed, and enough memory"
            ) from error
        finally:
            for reference in running.values():
                ray.cancel(reference, force=True)


def _piece(item: Item, function: Callable[[Item], Result], sign: str, place: str) -> Result:
    await_file(Path(sign), f"a process on {socket.gethostname()}")
    os.chdir(place)
    return function(item)
