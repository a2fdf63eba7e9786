"""What a launcher from outside, such as torchrun, tells a process that it has started."""

from __future__ import annotations

import os
from dataclasses import dataclass

# Accelerate would take them for a request.
NAMES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE",
    "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """This process is ``rank`` of ``world``, and ``local_rank`` of ``local_world`` on its machine.

    ``master``: host and port where the processes meet.
    """

    rank: int
    world: int
    local_rank: int
    local_world: int
    master: tuple[str, int]


def launched() -> bool:
    """Whether this is one of several processes of a launcher, and nobody has asked it yet."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def place() -> Place:
    """Where this process stands, by the environment."""
    numbers = {name: int(os.environ[name]) for name in ("RANK", "WORLD_SIZE")}
    return Place(
        numbers["RANK"],
        numbers["WORLD_SIZE"],
        int(os.environ.get("LOCAL_RANK", "0")),
        int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        (os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "29500"))),
    )


def of_torch() -> list[int]:
    """A file descriptor that says when torchrun has ended, if it has started this process.

    It sees to its processes unless it is killed. Only Linux has such descriptors.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and hasattr(os, "pidfd_open"):
        return [os.pidfd_open(os.getppid())]
    return []


def forget() -> None:
    """Take away from the environment what says that there are several processes."""
    for name in NAMES:
        os.environ.pop(name, None)
