"""What a detector costs as measured: latency, peak memory."""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tad_blockdrop.config import DetectorConfig, RuntimeConfig, WindowConfig
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.detector.units import Unit
from tad_blockdrop.parallel.starting import clean_processes, end_with_starter
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.runtime.runtime import Runtime

logger = logging.getLogger(__name__)

BUDGET = 120.0  # seconds of timing a model, within which repeats are left as they are asked for
LEAST = 5  # of them, whatever they take

_TINY = DetectorConfig.model_validate(
    {
        "backbone": {"width": 8, "depth": 1, "heads": 1, "patch": 8},
        "pyramid": {"width": 8, "levels": 1},
        "head": {"ranges": [[0, 10000]]},
    }
)
_TINY_WINDOW = WindowConfig.model_validate({"frames": 16, "grid": 8, "crop": 16})


def latency(models: Mapping[str, Detector], repeats: int) -> pd.DataFrame:
    """Seconds of a forward pass of one window, by model; see ``interleaved``.

    The models run where they are, in evaluation mode (which they are left in), under the caller's
    autocast if there is one. They must share device and window.
    """
    inputs = {name: _inputs(model.eval()) for name, model in models.items()}
    calls = {name: partial(model, *inputs[name]) for name, model in models.items()}
    device = next(iter(models.values())).device
    with torch.inference_mode():
        return interleaved(calls, repeats, device)


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device | str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> pd.DataFrame:
    """Time ``calls`` in turns, so that what disturbs the machine disturbs all of them alike.

    Each is called once to warm up and then ``repeats`` times, or as often as ``BUDGET`` allows; in
    every turn another one starts. Columns model, median, low, high: seconds of ``clock``, with the
    quartiles.
    """
    names = list(calls)
    began = time.monotonic()
    for name in names:
        calls[name]()
    synchronise(device)
    turns = _affordable(repeats, (time.monotonic() - began) / len(names))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in progress(range(turns), f"timing {len(names)} models", total=turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            synchronise(device)
            start = clock()
            calls[name]()
            synchronise(device)
            seconds[name].append(clock() - start)
    rows = [(name, *np.percentile(seconds[name], [50, 25, 75])) for name in names]
    return pd.DataFrame(rows, columns=["model", "median", "low", "high"])


def _affordable(repeats: int, seconds: float) -> int:
    """How many of the ``repeats`` of a pass that takes so long are within ``BUDGET``."""
    turns = min(repeats, max(LEAST, int(BUDGET / max(seconds, 1e-9))))
    if turns < repeats:
        logger.info(
            "timing %d passes of each model instead of %d, as one takes %.0f s",
            turns, repeats, seconds,
        )  # fmt: skip
    return turns


def peak_memory(
    config: DetectorConfig,
    n_classes: int,
    window: WindowConfig,
    kept_blocks: Sequence[Unit],
    runtime: Runtime,
) -> float:
    """Bytes that the weights and the forward pass of one window need at their peak.

    At the precision and on the device of ``runtime``. On the CPU, the growth of a fresh process
    from before the model is built, so that nothing of this process counts (Linux and macOS); on
    CUDA, the allocator's peak. NaN where there is no such count.
    """
    device = runtime.device
    build = partial(Detector, config, n_classes, window, tuple(kept_blocks))
    if device.type == "cuda":
        _run_once(build().to(device), runtime)  # cuBLAS takes its workspace once for all models
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        _run_once(build().to(device), runtime)
        return float(torch.cuda.max_memory_allocated(device) - before)
    if device.type != "cpu" or sys.platform == "win32":
        return float("nan")
    own = runtime.of_worker(1).model_copy(
        update={"device": "cpu", "threads": torch.get_num_threads()}
    )
    context = clean_processes()
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_starter) as fresh:
        try:
            return float(fresh.submit(growth, build, own).result())
        except BrokenProcessPool as error:
            raise RuntimeError(
                "measuring peak memory failed: its process died, perhaps for lack of memory"
            ) from error


def _inputs(model: Detector) -> tuple[Tensor, Tensor]:
    window, device = model.window, model.device
    shape = (1, window.frames, window.crop, window.crop, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    return frames, torch.ones(1, window.grid, dtype=torch.bool, device=device)


def synchronise(device: torch.device | str) -> None:
    """Wait for what a GPU has been told to do."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def _run_once(model: Detector, runtime: Runtime) -> None:
    with torch.inference_mode(), runtime.autocast():
        model.eval()(*_inputs(model))


def growth(build: Callable[[], Detector], where: RuntimeConfig) -> int:
    """Bytes by which this process grows at the peak of building and running a model."""
    runtime = Runtime(where)
    # what a first run loads, code and thread pools, is no cost of the model
    _run_once(Detector(_TINY, 1, _TINY_WINDOW), runtime)
    before = resident("VmRSS")
    _run_once(build(), runtime)
    return max(0, resident("VmHWM") - before)


def resident(field: str) -> int:
    """Bytes of memory this process holds (VmRSS) or has held at most (VmHWM).

    Where only the latter is known (macOS), that is given for both.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines[field].split()[0]) * 1024
