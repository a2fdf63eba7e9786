"""What a GPU makes of this project: ``make gpu-check``, some ten minutes, one table to send in.

Little of this project has run on a GPU where it was written (docs/benchmarks.md). This command
finds out whether, and how well, it does on yours:

- the smoke job in fp32, bf16 and fp16, beside the same job on the CPU: do the accuracies agree?
- an alignment step and a ranking pass of the THUMOS14 size, on random videos that are really
  encoded, read and augmented: time, share of what the card's own matrix product reaches at the same
  precision, share of the time spent waiting for data, peak memory;
- the tests of devices, precision and training windows.

A part that fails is a row that says why, and the others go on. The table is also written to
``data/08_reporting/gpu_check.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import ROOT, Bench, in_child, machine, quiet, settings_only

PRECISIONS = ("fp32", "bf16", "fp16")
PARTS = ("steps", "job", "tests")
TESTS = ("tests/runtime", "tests/training", "tests/video/windows")
SIDE = 8192  # of the square matrices whose product stands for the card's peak
LENGTH = 2000  # pictures, at most, of the video of which windows are taken

Found = dict[str, Any]


def job(project: Path, device: str, precision: str) -> Found:
    """The smoke job, made anew: minutes, and the accuracy of its models."""
    experiment = f"gpu_check_{device}_{precision}"
    settings = f"experiment={experiment},runtime.device={device},runtime.precision={precision}"
    begin = time.perf_counter()
    _kedro(project, "run", "--pipeline", "compress", "--env", "smoke", "--params", settings)
    minutes = (time.perf_counter() - begin) / 60
    tables = (project / "data/08_reporting" / experiment / "result_table.csv").rglob("*.csv")
    accuracies = _accuracies(max(tables, key=lambda path: path.parent.name))
    _kedro(project, "versions", "--experiment", experiment, "--delete", "--yes")
    return {"minutes": minutes, **accuracies}


def _kedro(project: Path, *arguments: str) -> None:
    _checked([sys.executable, "-m", "kedro", *arguments], project)


def _checked(command: list[str], project: Path) -> str:
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()
        sys.exit(told[-1] if told else f"exit code {done.returncode}")
    return done.stdout


def _accuracies(table: Path) -> Found:
    import pandas as pd

    rows = pd.read_csv(table).set_index("model")
    return {f"mAP {model}": float(rows.loc[model, "average"]) for model in rows.index}


def product_rate(device: str, precision: str) -> float:
    """TFLOP/s of the matrix product of PyTorch on ``device``, as training would call it."""
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side = SIDE if device == "cuda" else SIDE // 8
    a = torch.randn(side, side, device=device, dtype=kind)
    return 2 * side**3 / _median_seconds(lambda: a @ a, device, 9) / 1e12


def _median_seconds(call: Callable[[], object], device: str, repeats: int) -> float:
    from tad_blockdrop.metrics.measure import synchronise

    found = []
    for _ in range(repeats + 2):  # the first two warm up
        synchronise(device)
        begin = time.perf_counter()
        call()
        synchronise(device)
        found.append(time.perf_counter() - begin)
    return statistics.median(found[2:])


def large(project: str, environment: str, device: str, precision: str, steps: int) -> Found:
    """Alignment steps and ranking passes of an environment's size, on videos made here.

    Run it in a process of its own: the peak of memory is that of the process.
    """
    quiet()
    bench = _on(settings_only(Path(project), environment), device, precision)
    runtime = bench.runtime()
    rate = product_rate(device, precision)
    with TemporaryDirectory() as folder:
        trained = _alignment(bench, Path(folder), steps)
    scored = _ranking(bench, steps)
    return {
        "product": rate,
        "step": trained["seconds"],
        "step share": trained["flops"] / trained["seconds"] / 1e12 / rate,
        "waiting": trained["waiting"],
        "step memory": trained["memory"],
        "ranking": scored["seconds"],
        "ranking share": scored["flops"] / scored["seconds"] / 1e12 / rate,
        "workers": runtime.workers,
    }


def _on(bench: Bench, device: str, precision: str) -> Bench:
    """The same on a device, read by as many processes as there are cores to spare."""
    from tad_blockdrop.runtime.devices import cores_here

    p = bench.parameters
    changes = {"device": device, "precision": precision, "workers": max(cores_here() - 2, 1)}
    runtime = p.runtime.model_copy(update=changes)
    return Bench(p.model_copy(update={"runtime": runtime}), bench.dataset)


def _alignment(bench: Bench, folder: Path, steps: int) -> Found:
    """Steps of the published batch, from encoded videos to new weights."""
    import torch
    from rows_compression import alignment_step
    from torch.utils.flop_counter import FlopCounterMode

    from tad_blockdrop.metrics.measure import synchronise
    from tad_blockdrop.runtime.read_ahead import ReadAhead
    from tad_blockdrop.video.windows.device import training_windows

    device = bench.runtime().device
    batch, workers = bench.parameters.compress.first.batch, bench.runtime().workers
    # All in one epoch, as in a real one: at its start the readers have nothing ready.
    videos = [_video(bench, folder)] * (batch * (steps + 2))
    windows = training_windows(videos, bench.parameters.data, 0, device)
    step = alignment_step(bench, windows)
    reader = ReadAhead(windows.loader(batch, workers, 0))
    # It sees its own thread only: on a CPU with a core to spare not the teacher's passes.
    with FlopCounterMode(display=False) as counter:
        step(reader)
    step(reader)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    synchronise(device)
    begin, waited = time.perf_counter(), reader.waited
    for _ in range(steps):
        step(reader)
    synchronise(device)
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds / steps,
        "flops": counter.get_total_flops(),
        "waiting": (reader.waited - waited) / seconds,
        "memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    }


def _video(bench: Bench, folder: Path) -> Any:
    """A drifting texture, extracted as the environment says, with an action."""
    import numpy as np
    from rows_loader import write_source

    from tad_blockdrop.video.files.proxies import write_proxy
    from tad_blockdrop.video.files.sampling import Sampling
    from tad_blockdrop.video.windows.cutting import VideoRecord

    data = bench.parameters.data
    length = min(LENGTH, 2 * data.window.frames)
    source, proxy = folder / "source.mp4", folder / "proxy.mp4"
    write_source(source, length)
    write_proxy(source, proxy, Sampling(every=1), data.proxy, kept=None)
    action, label = np.array([[0.4, 0.6]]) * length / 30, np.array([0])
    return VideoRecord("random", str(proxy), length, 30.0, length / 30, action, label)


def _ranking(bench: Bench, steps: int) -> Found:
    """The passes of one window without each of the blocks in turn."""
    import torch
    from rows_models import some_input
    from torch.utils.flop_counter import FlopCounterMode

    from tad_blockdrop.compression.skipping import Skip, skipped_outputs

    runtime = bench.runtime()
    model = bench.model().to(runtime.device)
    skips = [Skip({block}) for block in model.kept_blocks]
    frames, mask = (tensor.to(runtime.device) for tensor in some_input(bench, 1))

    def rank() -> None:
        with torch.inference_mode(), runtime.autocast():
            list(skipped_outputs(model, frames, mask, skips))

    with FlopCounterMode(display=False) as counter:
        rank()
    seconds = _median_seconds(rank, runtime.device.type, min(steps, 5))
    return {"seconds": seconds, "flops": counter.get_total_flops()}


def tests(project: Path) -> str:
    """The last line of the tests of devices, precision and windows."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *TESTS]
    return _checked(command, project).strip().splitlines()[-1]


def attempt(name: str, work: Callable[[], Any]) -> Any:
    """What ``work`` returns; where it fails, the reason as a text."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        return work()
    except (SystemExit, Exception) as error:  # a row says so; the other parts go on
        return f"failed: {error}"


def checks(arguments: argparse.Namespace) -> dict[str, Any]:
    """All parts that are asked for, by name."""
    project, device, environment = arguments.project, arguments.device, arguments.env
    precisions = [p for p in PRECISIONS if device != "cpu" or p != "fp16"]
    work: dict[str, Callable[[], Any]] = {}
    if "steps" in arguments.parts:
        for precision in precisions:
            settings = {
                "project": str(project), "environment": environment, "device": device,
                "precision": precision, "steps": arguments.steps,
            }  # fmt: skip
            name = f"the size of {environment}, {precision}"
            work[name] = partial(in_child, "gpu_check:large", settings)
    if "job" in arguments.parts:
        jobs = [("cpu", "fp32"), *((device, precision) for precision in precisions)]
        for where, precision in dict.fromkeys(jobs):
            work[f"smoke job, {where}, {precision}"] = partial(job, project, where, precision)
    if "tests" in arguments.parts:
        work["tests"] = partial(tests, project)
    return {name: attempt(name, call) for name, call in work.items()}


def table(found: dict[str, Any]) -> str:
    """Markdown: a row a part, its numbers in words."""
    lines = ["| part | found |", "| --- | --- |"]
    lines += [f"| {name} | {_in_words(value)} |" for name, value in found.items()]
    return "\n".join(lines)


def _in_words(found: Any) -> str:
    if not isinstance(found, dict):
        return str(found).replace("|", "/").replace("\n", " ")
    if "minutes" in found:
        accuracies = [f"{name[4:]} {value:.1f}" for name, value in found.items() if "mAP" in name]
        return f"{found['minutes']:.1f} min; mAP: {', '.join(accuracies)}"
    memory = "" if found["step memory"] is None else f", {found['step memory'] / 2**30:.1f} GiB"
    return (
        f"alignment step {found['step'] * 1e3:.0f} ms, {found['step share']:.0%} of the product's "
        f"{found['product']:.3g} TFLOP/s, waiting {found['waiting']:.0%} with {found['workers']} "
        f"workers{memory}; ranking a window {found['ranking'] * 1e3:.0f} ms, "
        f"{found['ranking share']:.0%}"
    )


def card(device: str) -> Found:
    """What the numbers depend on."""
    import torch

    found = machine()
    if device == "cuda":
        facts = torch.cuda.get_device_properties(0)
        found |= {"card": facts.name, "GiB": round(facts.total_memory / 2**30, 1)}
        found |= {"CUDA": torch.version.cuda}
    return found


def main() -> None:
    """Check the device, do all parts, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "mps", "cpu"])
    parser.add_argument("--env", default="thumos14_s", help="environment whose size is timed")
    parser.add_argument("--steps", type=int, default=20, help="alignment steps that are timed")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--project", type=Path, default=ROOT)
    arguments = parser.parse_args()

    from tad_blockdrop.config import RuntimeConfig
    from tad_blockdrop.runtime.devices import DeviceError, pick_device

    try:
        pick_device(RuntimeConfig(device=arguments.device))
    except DeviceError as error:
        sys.exit(f"{error}. To see what this command does, run it with --device cpu --env smoke")
    facts, found = card(arguments.device), checks(arguments)
    path = arguments.project / "data/08_reporting/gpu_check.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": facts, "found": found}, indent=1), encoding="utf-8")
    print(f"{', '.join(f'{name} {value}' for name, value in facts.items())}\n")
    print(table(found))
    print(f"\nAll numbers: {path.relative_to(arguments.project)}")
    if any(isinstance(value, str) and value.startswith("failed") for value in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
