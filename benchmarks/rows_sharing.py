"""Rows of alignment steps that several processes share: CPU time and bytes, beside one process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from measuring import Bench, Row, settings_only
from torch import Tensor
from torch import distributed as dist

PART, STEPS, WARM_UP = "6 sharing", 12, 3
GOALS = {"base": ">= 0.80", "benchmark": ">= 0.90"}  # of the environments' models


def sharing(bench: Bench, project: Path, processes: int, repeats: int) -> list[Row]:
    """How much CPU time a step takes alone, over that of all ``processes`` together.

    The videos are those of ``bench``; model, batch and recipe those of each of ``GOALS``. One
    thread a process. The best of runs in turns, without the time to start.
    """
    rows = []
    for environment, goal in GOALS.items():
        found: dict[int, list[dict[str, float]]] = {1: [], processes: []}
        for _ in range(repeats):
            for count, runs in found.items():
                runs.append(_measured(bench, project, environment, count))
        alone, shared = (min(runs, key=lambda run: run["cpu"]) for runs in found.values())
        rows.append(
            Row(
                PART, f"an alignment step of {environment}'s model, {processes} processes",
                shared["cpu"], alone["cpu"] / shared["cpu"], "one process, CPU time", goal,
                note=f"each sends {shared['bytes'] / 1e6:.2f} MB, of which gradients "
                f"{shared['gradients'] / 1e6:.2f}",
            )
        )  # fmt: skip
    return rows


def _measured(bench: Bench, project: Path, environment: str, processes: int) -> dict[str, float]:
    from tad_blockdrop.detections.evaluation import Evaluator
    from tad_blockdrop.jobs.sharing import share_out

    p = settings_only(project, environment).parameters
    runtime = Bench(p, bench.dataset).runtime(threads=1)
    evaluator = Evaluator(bench.dataset, p.data, p.evaluation, runtime)
    with TemporaryDirectory() as folder:
        settings = {"parameters": p.model_dump(mode="json")}
        share_out(work, processes, evaluator, Path(folder, "job"), settings)
        found: dict[str, float] = json.loads(Path(folder, "job", "found").read_text())
    return found


def work(folder: Path, settings: Mapping[str, Any], group: Any) -> None:
    """What each process does: steps on one batch. The first writes what all have spent."""
    from rows_compression import alignment_run

    from tad_blockdrop.config import Parameters
    from tad_blockdrop.jobs.sharing import read_evaluator
    from tad_blockdrop.runtime.read_ahead import ReadAhead
    from tad_blockdrop.video.windows.clips import shared_windows
    from tad_blockdrop.video.windows.loading import TrainingWindows

    evaluator = read_evaluator(folder, group)
    bench = Bench(Parameters.model_validate(settings["parameters"]), evaluator.dataset)
    p = bench.parameters
    whole = TrainingWindows(bench.records("train"), p.data, 0)
    windows = shared_windows(whole, p.detector.backbone.geometry.clip_frames, group)
    batch = next(iter(windows.loader(p.compress.first.batch, workers=0, seed=0)))
    run = alignment_run(bench, windows, evaluator.runtime)
    with _sent() as sizes:
        for number in range(WARM_UP + STEPS):
            if number == WARM_UP:
                sizes.clear()
                begin = time.process_time()
            run.step(ReadAhead([batch]), 0)
    spent = torch.tensor([(time.process_time() - begin) / STEPS])
    cpu = sum(float(part["cpu"]) for part in group.gather({"cpu": spent}))
    if group.rank == 0:
        weights = sum(p.numel() * p.element_size() for p in run.parameters)
        found = {"cpu": cpu, "bytes": sum(sizes) / STEPS, "gradients": weights}
        (folder / "found").write_text(json.dumps(found))


@contextmanager
def _sent() -> Iterator[list[int]]:
    """The bytes that this process gives to each operation of several processes meanwhile."""
    sizes: list[int] = []
    reduce, gather = dist.all_reduce, dist.all_gather

    def all_reduce(tensor: Tensor, **how: Any) -> object:
        sizes.append(tensor.nbytes)
        return reduce(tensor, **how)

    def all_gather(parts: list[Tensor], tensor: Tensor, **how: Any) -> object:
        sizes.append(tensor.nbytes)
        return gather(parts, tensor, **how)

    dist.all_reduce, dist.all_gather = all_reduce, all_gather
    try:
        yield sizes
    finally:
        dist.all_reduce, dist.all_gather = reduce, gather
