"""Who starts the processes of a job: this program, or a launcher that has done so already."""

from __future__ import annotations

from collections.abc import Sequence

from tad_blockdrop.parallel.engines import joined, local
from tad_blockdrop.parallel.job import Job


def run(job: Job, processes: int, gpus: Sequence[str] = ()) -> None:
    """Do ``job`` with so many processes, each with one of ``gpus`` or all on the CPU.

    Raises WorkerFailedError, with the reason, once one of them has failed; the others are ended
    then. Only the main thread can do this.
    """
    world = joined.world()
    if world is None:
        local.run(job, processes, gpus)
    else:
        world.run(job, processes, bool(gpus))
