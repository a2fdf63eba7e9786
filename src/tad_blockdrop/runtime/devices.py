"""Devices, memory and random numbers.

Determinism. On the CPU the same seed and the same number of threads give the same bits; another
number of threads may change the order of sums. On CUDA ``seed_all`` allows deterministic kernels
only. On MPS Apple offers no such switch: runs agree to rounding only.
"""

import ctypes
import os
import random
import sys

import numpy as np
import torch

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.engines import cluster, joined

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h


class DeviceError(BlockDropError):
    """The machine cannot run with the device or precision asked for."""


def pick_device(runtime: RuntimeConfig) -> torch.device:
    """The device asked for; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises DeviceError if this machine does not have it, or it cannot do ``runtime.precision``.
    """
    found = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name: str = runtime.device
    if name == "auto":
        name = next(kind for kind, there in found.items() if there)
    if not found[name]:
        raise DeviceError(
            f"runtime.device is '{name}', but PyTorch {torch.__version__} finds no such device "
            "here: install a build for it, or set runtime.device to 'auto'"
        )
    if name == "cpu" and runtime.precision == "fp16":
        raise DeviceError("runtime.precision 'fp16' needs a GPU: on the CPU use 'bf16' or 'fp32'")
    return torch.device(name)


def count_devices(runtime: RuntimeConfig, device: torch.device) -> int:
    """How many devices of the kind of ``device`` are to be used; on a CPU, processes.

    Raises DeviceError if there are fewer, or EngineError if those of ``runtime.engine`` cannot be
    had.
    """
    if (world := joined.world()) is not None:
        return _count_launched(runtime, device, world)
    if runtime.engine == "ray":
        return _count_placed(runtime)
    there = {"cuda": torch.cuda.device_count(), "cpu": cores_here()}.get(device.type, 1)
    if runtime.devices == "auto":
        return there if device.type == "cuda" else 1
    if runtime.devices > there:
        what = {"cuda": "GPUs", "cpu": "CPU cores"}.get(device.type, "devices")
        raise DeviceError(
            f"runtime.devices is {runtime.devices}, but this machine has {there} {what} to use: "
            f"set it to {there} or less, or to 'auto'"
        )
    return runtime.devices


def _count_launched(runtime: RuntimeConfig, device: torch.device, world: joined.World) -> int:
    if device.type == "cuda" and world.without_gpu:
        raise DeviceError(
            f"{world.without_gpu}, has no GPU to itself: start one process for each GPU of a "
            "machine, or set runtime.device to 'cpu'"
        )
    if runtime.engine != "local":
        raise DeviceError(
            f"a launcher has started the processes of this run, but runtime.engine is "
            f"'{runtime.engine}': start it with kedro run, or set runtime.engine to 'local'"
        )
    if runtime.devices not in ("auto", 1, world.size):
        raise DeviceError(
            f"runtime.devices is {runtime.devices}, but the launcher has started {world.size} "
            "processes, and all of them are used: leave it at 'auto'"
        )
    return world.size


def _count_placed(runtime: RuntimeConfig) -> int:
    kind, there = cluster.devices(runtime)
    if runtime.devices == "auto":
        return there if kind == "GPU" else 1
    if runtime.devices > there:
        raise DeviceError(
            f"runtime.devices is {runtime.devices}, but the Ray cluster has {there} {kind}s to "
            f"use: set it to {there} or less, or to 'auto'"
        )
    return runtime.devices


def cores_here() -> int:
    """How many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def main_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def for_double(x: torch.Tensor) -> torch.Tensor:
    """``x`` where it can become float64: on the CPU, if its device has none (MPS)."""
    return x.cpu() if x.device.type == "mps" else x


def core_to_spare(device: torch.device) -> bool:
    """Whether a second thread can run a model on the CPU without taking from the first.

    Never under autocast, which a new thread would not inherit.
    """
    return (
        device.type == "cpu"
        and torch.get_num_threads() < cores_here()
        and not torch.is_autocast_enabled("cpu")
    )


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step instead of returning it at once.

    Every training step allocates and frees the same blocks. By default glibc gives them back to
    the kernel in between, which zeroes every page again: a sixth of a training step. Blocks above
    32 MiB, which would leave large holes, are still returned to the system. Other C libraries
    lack the call.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 2**25)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device; only deterministic kernels on CUDA.

    There, an operation without one raises RuntimeError with its name: with a warning alone,
    PyTorch leaves the gradient of attention, too, to chance.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(True)


def epoch_seed(seed: int, epoch: int) -> int:
    """An independent seed for each epoch, so that an epoch needs no history to be repeated."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
