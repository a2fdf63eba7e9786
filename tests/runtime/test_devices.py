"""Device choice, threads, precision, seeds."""

import ctypes
import platform
import random
from typing import ClassVar

import numpy as np
import pytest
import torch

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.parallel.engines.local import gpu_names
from tad_blockdrop.runtime import devices
from tad_blockdrop.runtime.devices import (
    DeviceError,
    count_devices,
    epoch_seed,
    keep_freed_memory,
    pick_device,
    seed_all,
)
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.storage.experiment_record import of_stage


def test_auto_takes_the_best_there_is() -> None:
    best = "cpu"
    if torch.backends.mps.is_available():
        best = "mps"
    if torch.cuda.is_available():
        best = "cuda"
    assert pick_device(RuntimeConfig()).type == best


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has CUDA")
def test_missing_device_is_named() -> None:
    with pytest.raises(DeviceError, match=r"runtime\.device is 'cuda'.*'auto'"):
        pick_device(RuntimeConfig(device="cuda"))


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(DeviceError, match=r"'fp16' needs a GPU.*'bf16'"):
        pick_device(RuntimeConfig(device="cpu", precision="fp16"))


def test_devices_are_counted_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cores_here", lambda: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert count_devices(RuntimeConfig(devices="auto"), cpu) == 1
    assert count_devices(RuntimeConfig(devices="auto"), cuda) == 2
    assert count_devices(RuntimeConfig(devices=4), cpu) == 4
    with pytest.raises(DeviceError, match=r"runtime\.devices is 5, .* has 4 CPU cores.*'auto'"):
        count_devices(RuntimeConfig(devices=5), cpu)
    with pytest.raises(DeviceError, match=r"runtime\.devices is 3, but this machine has 2 GPUs"):
        count_devices(RuntimeConfig(devices=3), cuda)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1,0")
    assert gpu_names(2) == ["3", "1"]


def test_their_number_is_no_part_of_an_experiment() -> None:
    assert of_stage({"runtime.devices": 2, "runtime.seed": 1}, "baseline") == {"runtime.seed": 1}


def test_precision_may_change_within_a_process() -> None:
    half = Runtime(RuntimeConfig(device="cpu", precision="bf16")).accelerator()
    assert half.mixed_precision == "bf16"
    assert Runtime(RuntimeConfig(device="cpu")).accelerator().mixed_precision == "no"


def test_seed_covers_all_generators() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    seed_all(5)
    first = draw()
    assert len(set(first)) == 3
    assert draw() != first
    seed_all(5)
    assert draw() == first


def test_epoch_seeds_are_distinct() -> None:
    assert len({epoch_seed(seed, epoch) for seed in range(20) for epoch in range(50)}) == 1000


def test_threads() -> None:
    before = torch.get_num_threads()
    Runtime(RuntimeConfig(threads=None))
    assert torch.get_num_threads() == before
    Runtime(RuntimeConfig(threads=before + 1))
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_serves_the_next_step() -> None:
    """By the C library's own account."""
    keep_freed_memory()
    mapped, _ = _heap()
    step = [torch.ones(2**22) for _ in range(10)]
    assert _heap()[0] == mapped  # none is outside the heap, to be given back at once
    del step
    assert _heap()[1] >= 10 * 2**24


def _heap() -> tuple[int, int]:
    """Bytes that are mapped outside the heap, and those free in it."""

    class Account(ctypes.Structure):  # malloc.h: struct mallinfo2
        _fields_: ClassVar = [(name, ctypes.c_size_t) for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )]  # fmt: skip

    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Account
    found = library.mallinfo2()
    return found.hblkhd, found.fordblks


def test_autocast_is_that_of_the_precision() -> None:
    a = torch.ones(2, 2)
    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        config = RuntimeConfig.model_validate({"device": "cpu", "precision": precision})
        with Runtime(config).autocast():
            assert (a @ a).dtype == kind


def test_another_seed_changes_nothing_else() -> None:
    one = Runtime(RuntimeConfig(device="cpu", seed=3, workers=2, precision="bf16"))
    other = one.with_seed(5)
    assert (one.seed, other.seed) == (3, 5)
    assert other.config == one.config.model_copy(update={"seed": 5})
    assert (other.device, other.workers, other.precision) == (one.device, 2, "bf16")
