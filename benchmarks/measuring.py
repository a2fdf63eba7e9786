"""What all rows share: the videos and models timed, timing in turns, the machine's own limit."""

from __future__ import annotations

import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
MATMUL = 1024  # side of the square matrices that give the physical limit


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``seconds`` of CPU time (user and system, all threads) for the work named in ``what``, with
    ``ratio`` to a ``yardstick`` measured in turns with it (or told by the issue), above 1 where we
    are faster; ``note`` says in words what else is worth knowing. None where it does not apply.
    """

    part: str
    what: str
    seconds: float | None = None
    ratio: float | None = None
    yardstick: str = ""
    target: str = ""
    note: str = ""


@dataclass(frozen=True)
class Spent:
    """Median seconds of repeated work: of the clock, and of the CPU over all threads."""

    wall: float
    cpu: float


def in_turns(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Spent]:
    """Call all ``calls`` ``repeats`` times in turns, after one warm-up call each; the medians."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Spent(*(statistics.median(column) for column in zip(*times, strict=True)))
        for name, times in found.items()
    }


def ratio(slow: Spent, fast: Spent) -> float:
    """How many times as fast: by CPU time on one thread, which a busy machine disturbs less."""
    import torch

    if torch.get_num_threads() == 1:
        return slow.cpu / fast.cpu
    return slow.wall / fast.wall


def once(call: Callable[[], object]) -> Spent:
    """The time of a single call, for work too long to repeat."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def use_threads(count: int) -> None:
    """Get this process ready for ``count`` threads, as a run would."""
    from tad_blockdrop.config import RuntimeConfig
    from tad_blockdrop.runtime.runtime import Runtime

    Runtime(RuntimeConfig(device="cpu", threads=count))


def matmul_rate() -> float:
    """GFLOP/s that PyTorch's matrix product reaches here, now, with its threads; as ``ratio``."""
    import torch

    a = torch.randn(MATMUL, MATMUL)
    spent = in_turns({"matmul": lambda: a @ a}, 9)["matmul"]
    return 2 * MATMUL**3 / ratio(spent, Spent(1.0, 1.0)) / 1e9


@dataclass(frozen=True, eq=False)
class Bench:
    """An environment of ``conf/``: its typed parameters, its dataset and an untrained model."""

    parameters: Any
    dataset: Any

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        names: tuple[str, ...] = self.dataset.classes
        return names

    def records(self, split: str) -> list[Any]:
        """The videos of a split."""
        found: list[Any] = self.dataset.records(split)
        return found

    def task(self, records: Sequence[Any]) -> Any:
        """Detection in the videos of ``records``."""
        from tad_blockdrop.detections.task import DetectionTask

        p = self.parameters
        return DetectionTask(p.detector.head, p.data.window, records, self.classes, p.evaluation)

    def runtime(self, **changes: Any) -> Any:
        """As configured but for ``changes``, and on as many threads as there are now."""
        import torch

        from tad_blockdrop.runtime.runtime import Runtime

        settings = {"threads": torch.get_num_threads(), **changes}
        return Runtime(self.parameters.runtime.model_copy(update=settings))

    def model(self, kept: tuple[int, ...] | None = None, depth: int | None = None) -> Any:
        """A detector with random weights; ``depth`` replaces the configured one.

        Untrained scores are all near ``head.prior``, so every proposal survives: post-processing
        and matching get the most they can. The offsets are made as trained ones.
        """
        from tad_blockdrop.baseline.training import new_detector
        from tad_blockdrop.detector.model import Detector

        p, detector = self.parameters, self.parameters.detector
        if depth is not None:
            backbone = detector.backbone.model_copy(update={"depth": depth})
            detector = detector.model_copy(update={"backbone": backbone})
        model = new_detector(detector, len(self.classes), p.data, p.baseline, 0)
        if kept is not None:
            whole, model = model, Detector(detector, len(self.classes), p.data.window, kept)
            model.load_state_dict(whole.state_dict(), strict=False)
        model.head.regress.bias.data.fill_(2.0)
        return model.eval()


def open_bench(project: Path, environment: str) -> Bench:
    """Make the environment's videos and proxies if they are not there yet, and load the tables."""
    from kedro.framework.session import KedroSession

    with_settings = settings_only(project, environment)
    with KedroSession.create(project, env=environment) as session:
        session.run(pipeline_names=["data"], only_missing_outputs=True)
    with KedroSession.create(project, env=environment) as session:
        catalog = session.load_context().catalog
        return Bench(with_settings.parameters, catalog.load("dataset"))


def settings_only(project: Path, environment: str) -> Bench:
    """The environment without any video, for random input; as many classes as THUMOS14."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    from tad_blockdrop.context import validate_parameters
    from tad_blockdrop.video.action_dataset import ActionDataset

    bootstrap_project(project)
    with KedroSession.create(project, env=environment) as session:
        raw = session.load_context().config_loader["parameters"]
    nothing = pd.DataFrame({"split": []})
    dataset = ActionDataset(nothing, nothing, tuple(str(i) for i in range(20)))
    return Bench(validate_parameters(raw), dataset)


def in_child(job: str, arguments: Mapping[str, Any]) -> Any:
    """What the function ``job`` ("module:name") returns for ``arguments``, in a fresh process.

    For memory, whose peak a process cannot forget. Arguments and result are JSON values.
    """
    code = (
        "import json, sys, importlib\n"
        "module, name = sys.argv[1].split(':')\n"
        "call = getattr(importlib.import_module(module), name)\n"
        "print(json.dumps(call(**json.loads(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, job, json.dumps(arguments)]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{job} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def cpu_of(command: list[str], cwd: Path) -> float:
    """CPU-seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    import platform

    import torch

    names = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def quiet() -> None:
    """Only warnings: the table is what this command prints."""
    logging.disable(logging.INFO)


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [asdict(row) for row in rows]
