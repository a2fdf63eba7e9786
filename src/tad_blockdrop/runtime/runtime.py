"""Where and how the work of a run is done: one object that everything heavy is given."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.parallel.engines import joined
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.parallel.starting import preload
from tad_blockdrop.runtime.devices import (
    cores_here,
    count_devices,
    keep_freed_memory,
    pick_device,
)

if TYPE_CHECKING:
    from accelerate import Accelerator


class Runtime:
    """Device, precision, threads, loader processes and seed.

    ``group``: the processes that this one, started for one of them, belongs to. Making one gets
    this process ready for the work. Raises DeviceError if this machine does not have the devices,
    or they cannot do the precision.
    """

    def __init__(self, config: RuntimeConfig, group: Group = ALONE) -> None:
        self.config, self.group = config, group
        self.device = pick_device(config)
        if config.engine == "local" and self.devices > 1:
            preload("tad_blockdrop.jobs.training")  # now: other work may start the server first
        self.seed, self.workers, self.precision = config.seed, config.workers, config.precision
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        keep_freed_memory()

    @cached_property
    def devices(self) -> int:
        """How many devices are to share the work; those of a cluster are asked for with this."""
        return count_devices(self.config, self.device) if self.group is ALONE else 1

    def with_seed(self, seed: int) -> Runtime:
        """The same with other random numbers."""
        return Runtime(self.config.model_copy(update={"seed": seed}), self.group)

    def of_worker(self, world: int) -> RuntimeConfig:
        """The settings of each of ``world`` processes, which share the cores of their machine."""
        alone: dict[str, object] = {"devices": 1, "engine": "local", "address": None}
        if self.config.engine == "ray":  # which knows how many are on a machine
            return self.config.model_copy(update=alone)
        launched = joined.world()
        here = world if launched is None else min(world, launched.local)
        threads = self.config.threads or max(1, cores_here() // here)
        return self.config.model_copy(update=alone | {"threads": threads})

    def autocast(self) -> torch.autocast:
        """The context in which a model runs at ``precision``.

        For inference; the training loop has Accelerate's, which also scales fp16 gradients.
        """
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        return torch.autocast(self.device.type, dtype=half, enabled=half is not None)

    def accelerator(self) -> Accelerator:
        """Accelerate's view of device and precision.

        It keeps one setting per process; a run with another device or precision replaces it.
        """
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
        precision = "no" if self.precision == "fp32" else self.precision
        return Accelerator(cpu=self.device.type == "cpu", mixed_precision=precision)
