"""Rows of latency and memory by dropped blocks, and of growth with depth, length and videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import (
    Bench,
    Row,
    in_child,
    in_turns,
    once,
    open_bench,
    quiet,
    ratio,
    settings_only,
    use_threads,
)
from rows_compression import alignment_step
from torch import Tensor


def latency(bench: Bench, repeats: int, dropped: list[int], batches: list[int]) -> list[Row]:
    """Measured speed-up over the ideal one (all blocks / kept blocks), by dropped blocks."""
    depth = bench.parameters.detector.backbone.depth
    models = {n: bench.model(tuple(range(depth - n))) for n in dropped}
    rows = []
    for batch in batches:
        frames, mask = some_input(bench, batch)
        calls: dict[Any, Callable[[], object]] = {}
        for n, model in models.items():
            calls["backbone", n] = partial(backbone, model, frames)
            calls["whole model", n] = partial(model, frames, mask)
        with torch.inference_mode():
            spent = in_turns(calls, repeats)
        for part, n in calls:
            before, after = spent[part, 0], spent[part, n]
            if n:
                rows.append(_share_of_ideal(f"PyTorch, {part}", batch, depth, n, before, after))
    return rows


def onnx_latency(bench: Bench, repeats: int, dropped: int, batches: list[int]) -> list[Row]:
    """The same of the exported whole model in ONNX Runtime; no rows where it is not installed."""
    from tad_blockdrop.export.onnx import ExportError, open_session, to_onnx
    from tad_blockdrop.export.torch_export import trace

    depth = bench.parameters.detector.backbone.depth
    try:
        runs = {
            n: open_session(
                to_onnx(trace(bench.model(tuple(range(depth - n))))), torch.get_num_threads()
            )
            for n in (0, dropped)
        }
    except ExportError as error:
        return [Row("5 latency", "ONNX Runtime", note=str(error))]
    model, rows = bench.model(), []
    for batch in batches:
        frames, mask = some_input(bench, batch)
        pixels, valid = frames.numpy(), mask.numpy()
        with torch.inference_mode():
            spent = in_turns(
                {
                    "before": partial(runs[0], pixels, valid),
                    "after": partial(runs[dropped], pixels, valid),
                    "torch": partial(model, frames, mask),
                },
                repeats,
            )
        name = "ONNX Runtime, whole model"
        row = _share_of_ideal(name, batch, depth, dropped, spent["before"], spent["after"])
        against = ratio(spent["torch"], spent["before"])
        rows.append(replace(row, note=f"with all blocks {against:.2f} times as PyTorch"))
    return rows


def _share_of_ideal(name: str, batch: int, depth: int, n: int, before: Any, after: Any) -> Row:
    ideal = depth / (depth - n)
    speed_up = ratio(before, after)
    return Row(
        "5 latency", f"{name}, batch {batch}, {depth} -> {depth - n} blocks", after.cpu,
        speed_up / ideal, "ideal speed-up",
        note=f"{speed_up:.2f} times as fast, ideal {ideal:.2f}",
    )  # fmt: skip


def memory(bench: Bench, dropped: list[int]) -> list[Row]:
    """Peak memory of one window, by dropped blocks."""
    from tad_blockdrop.metrics.measure import peak_memory

    p = bench.parameters
    depth = p.detector.backbone.depth
    rows = []
    for n in dropped:
        kept = range(depth - n)
        peak = peak_memory(p.detector, len(bench.classes), p.data.window, kept, bench.runtime())
        rows.append(
            Row("5 memory", f"one window, {depth - n} blocks", note=f"{peak / 1e6:.0f} MB at peak")
        )
    return rows


def backbone(model: Any, frames: Tensor) -> Tensor:
    """The transformer alone."""
    tokens = model.backbone.embed(frames)
    for index in model.kept_blocks:
        _, tokens = model.run_block(index, tokens)
    pooled: Tensor = model.backbone.pool(tokens, len(frames), model.window.grid)
    return pooled


def some_input(bench: Bench, batch: int) -> tuple[Tensor, Tensor]:
    """Random frames (B, T, crop, crop, 3) and a mask without padding."""
    window = bench.parameters.data.window
    shape = (batch, window.frames, window.crop, window.crop, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    return frames, torch.ones(batch, window.grid, dtype=torch.bool)


def growth(
    project: Path, environment: str, depths: list[int], lengths: list[int], videos: list[int]
) -> list[Row]:
    """Scoring in fresh processes: time and memory against depth, video length, videos."""
    cases = [("depth", n, {"depth": n}) for n in depths]
    cases += [("times the length, 1 video", n, {"length": n}) for n in lengths]
    cases += [("videos", n, {"videos": n}) for n in videos]
    rows = []
    for name, n, change in cases:
        arguments = {"project": str(project), "environment": environment, **change}
        found = in_child("rows_models:scoring_cost", arguments)
        what = f"{found['windows']} windows, {found['forwards']:.2f} full forwards each"
        rows.append(_memory_row(f"scoring, {n} {name}", found, what))
    return rows


def training_memory(project: Path, environment: str) -> list[Row]:
    """The alignment step of one window with and without activation checkpointing, each in a
    fresh process. (Without, one window of the THUMOS14 size takes 11 GB.)
    """
    return [
        _memory_row(
            "alignment step of 1 window, "
            f"{'with' if checkpointing else 'without'} activation checkpointing",
            in_child(
                "rows_models:step_memory",
                {
                    "project": str(project),
                    "environment": environment,
                    "checkpointing": checkpointing,
                    "threads": torch.get_num_threads(),
                },
            ),
        )
        for checkpointing in (True, False)
    ]


def _memory_row(name: str, found: dict[str, float], what: str = "") -> Row:
    memory = f"{found['peak'] / 1e6:.0f} MB above the start, {found['whole'] / 1e6:.0f} MB in all"
    return Row("6 growth", name, found["cpu"], note=f"{what}; {memory}" if what else memory)


def scoring_cost(
    project: str, environment: str, depth: int | None = None, length: int = 1, videos: int = 1
) -> dict[str, float]:
    """CPU-seconds and memory above the start of scoring ``videos`` videos ``length`` times as long.

    Run it in a process of its own, at one thread.
    """
    from tad_blockdrop.compression.criteria.contract import Candidates
    from tad_blockdrop.compression.criteria.train_map import TrainMap
    from tad_blockdrop.compression.ranking import candidate_skips
    from tad_blockdrop.detector.model import evaluating
    from tad_blockdrop.metrics.measure import resident
    from tad_blockdrop.video.windows.loading import TestWindows, make_loader

    quiet()
    use_threads(1)
    bench = open_bench(Path(project), environment)
    p = bench.parameters
    records = [_lengthened(record, length) for record in bench.records("train")[:videos]]
    windows = TestWindows(records, p.data, p.data.window.overlap)
    model = bench.model(depth=depth)
    frames, mask = some_input(bench, 1)
    with torch.inference_mode():
        forward = in_turns({"forward": lambda: model(frames, mask)}, 3)["forward"].cpu
    skips = candidate_skips(model.kept_blocks, 1)
    before = resident("VmRSS")
    loader = make_loader(windows, p.evaluation.batch, 0)
    task, repair = bench.task(records), p.compress.repair
    candidates = Candidates(skips, task, loader, None, model, repair)
    with evaluating(model):
        spent = once(lambda: TrainMap().score(model, candidates))
    peak = resident("VmHWM")
    return {
        "cpu": spent.cpu,
        "windows": len(windows),
        "forwards": spent.cpu / len(windows) / forward,
        "peak": peak - before,
        "whole": peak,
    }


def _lengthened(record: Any, times: int) -> Any:
    """The video shown ``times`` times in a row, with the actions of the first."""
    return replace(
        record,
        n_samples=record.n_samples * times,
        duration=record.duration * times,
        source_indices=np.tile(np.arange(record.n_samples), times),
    )


def large_latency(project: Path, environment: str, repeats: int, dropped: list[int]) -> list[Row]:
    """Latency by dropped blocks at a real size, batch 1, on random windows."""
    rows = latency(settings_only(project, environment), repeats, dropped, [1])
    return [replace(row, target=">= 0.95" if "backbone" in row.what else ">= 0.90") for row in rows]


def step_memory(
    project: str, environment: str, checkpointing: bool, threads: int
) -> dict[str, float]:
    """CPU-seconds and peak bytes, above the start, of one alignment step on random windows."""
    from tad_blockdrop.metrics.measure import resident
    from tad_blockdrop.runtime.read_ahead import ReadAhead
    from tad_blockdrop.video.windows.batches import Batch
    from tad_blockdrop.video.windows.cutting import VideoRecord
    from tad_blockdrop.video.windows.loading import TrainingWindows

    quiet()
    use_threads(threads)
    bench = settings_only(Path(project), environment)
    p = bench.parameters
    length, rate = p.data.window.frames, 7.5
    action = np.array([[0.4, 0.6]])
    record = VideoRecord(
        "random", "", length, rate, length / rate, action * length / rate, np.array([0])
    )
    frames, mask = some_input(bench, 1)
    batch = Batch(
        frames, mask, [torch.from_numpy(action * p.data.window.grid).float()],
        [torch.tensor([0])], [],
    )  # fmt: skip
    before = resident("VmRSS")
    windows = TrainingWindows([record], p.data, 0)
    step = alignment_step(bench, windows, checkpointing=checkpointing)
    spent = once(lambda: step(ReadAhead([batch])))
    peak = resident("VmHWM")
    return {"cpu": spent.cpu, "peak": peak - before, "whole": peak}
