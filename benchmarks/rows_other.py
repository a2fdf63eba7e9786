"""Rows of the data path and of starting up."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from measuring import Bench, Row, cpu_of, once
from rows_compression import alignment_step


def data(bench: Bench, steps: int) -> list[Row]:
    """Augmented windows from proxies, and how long a training step waits for them."""
    from tad_blockdrop.video.windows.loading import TrainingWindows

    p = bench.parameters
    windows = TrainingWindows(bench.records("train"), p.data, 0)
    spent = once(lambda: [windows[0, i] for i in range(len(windows))])
    each = spent.cpu / len(windows)
    rows = [
        Row("4 data", "one training window from its proxy", each, note=f"{1 / each:.0f} a CPU-s")
    ]
    for workers in (0, 1):
        loader = windows.loader(p.compress.first.batch, workers, seed=0)
        share = _waiting(bench, windows, loader, steps)
        rows.append(
            Row(
                "4 data", f"waiting for data, {workers} loader processes",
                note=f"{100 * share:.1f} % of an alignment step",
            )
        )  # fmt: skip
    return rows


def _waiting(bench: Bench, windows: Any, loader: Any, steps: int) -> float:
    """The share of the time of ``steps`` steps that passes before the batch is there."""
    from tad_blockdrop.runtime.read_ahead import ReadAhead

    reader, step = ReadAhead(loader), alignment_step(bench, windows)
    step(reader)  # the first batch also starts processes
    reader.waited, begin = 0.0, time.perf_counter()
    for _ in range(steps):
        step(reader)
    return reader.waited / (time.perf_counter() - begin)


def start_up(project: Path, repeats: int) -> list[Row]:
    """Importing the package and asking the command line for its pipelines, CPU-seconds."""
    python = sys.executable
    commands = {
        "python, nothing imported": [python, "-c", "pass"],
        "import tad_blockdrop.pipeline_registry": [
            python, "-c", "import tad_blockdrop.pipeline_registry",
        ],
        "import torch": [python, "-c", "import torch"],
        "kedro registry list": [python, "-m", "kedro", "registry", "list"],
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            taken[name].append(cpu_of(command, project))
    return [
        Row("7 start-up", name, sorted(times)[len(times) // 2]) for name, times in taken.items()
    ]
