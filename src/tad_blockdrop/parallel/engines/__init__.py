"""Who starts the processes of a job: this program, Ray, or a launcher that has done so already."""

from __future__ import annotations

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.parallel.engines import cluster, joined, local
from tad_blockdrop.parallel.job import Job


def run(job: Job, processes: int, runtime: RuntimeConfig, gpus: bool) -> None:
    """Do ``job`` with so many processes; ``gpus``: whether this one computes on a GPU.

    Raises WorkerFailedError, with the reason, once one of them has failed; the others are ended
    then. Only the main thread can do this.
    """
    world = joined.world()
    if world is not None:
        world.run(job, processes, gpus)
    elif runtime.engine == "ray":
        cluster.run(job, processes, runtime)
    else:
        local.run(job, processes, local.gpu_names(processes) if gpus else [])


def has_cluster(runtime: RuntimeConfig) -> bool:
    """Whether pieces of work can be spread over the machines of a cluster (``tasks``)."""
    return runtime.engine == "ray" and joined.world() is None
