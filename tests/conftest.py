"""What the tests of pipelines and command line share: project folders, one of them finished."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from tad_blockdrop.parallel.starting import clean_processes

# The suite says the same each time. `make fuzz` looks for more, with fresh random examples.
settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is
)
settings.register_profile(
    "fuzz",
    settings.get_profile("suite"),
    derandomize=False,
    max_examples=500,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("suite")
# Examples would otherwise hold constants of whatever modules are loaded: they would change with
# every change of the product, and be others in a file run alone.
providers._get_local_constants = providers.Constants

pytest_plugins = ["small_detector"]

ROOT = Path(__file__).parents[1]

Kedro = Callable[..., subprocess.CompletedProcess[str]]

ALIGN = {"epochs": 1, "stop": 1, "warmup": 0.1}
TINY = {
    "runtime": {"threads": 1},
    "synthetic": {
        "classes": 3,
        "training_videos": 10,
        "validation_videos": 4,
        "mean_frames": 160,
    },
    "compress": {"n_drops": 2, "align": "each", "first": ALIGN, "later": ALIGN},
    "baseline": {"train": {"epochs": 2, "stop": 2, "warmup": 0.1}},
    "evaluation": {"bootstrap": 50, "latency_repeats": 2},
}


def environment() -> dict[str, str]:
    """For commands of the tests: wide lines, one thread."""
    return os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def run_kedro(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``kedro ...`` in ``folder``, as a user runs it; returns the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: writing fails as on a full disk.

    To be held for moments only: the runner's own output may be such a file.
    """
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def copy_project(folder: Path) -> Path:
    """A copy of the project without data: configuration and metadata; the package is installed."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def tiny_project(folder: Path) -> Path:
    """A copy of the project whose smoke environment is made even smaller."""
    copy_project(folder)
    (folder / "conf" / "smoke" / "parameters.yml").write_text(yaml.safe_dump(TINY))
    return folder


@pytest.fixture(scope="session", autouse=True)
def _server() -> None:
    """Import once, in the server that all processes are forked from, what takes them seconds."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        used = [f"tad_blockdrop.{name}" for name in ("jobs.training", "prediction.stream")]
        multiprocessing.get_context("forkserver").set_forkserver_preload(used)
        clean_processes()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project without data."""
    return copy_project(tmp_path)


@pytest.fixture
def kedro(project: Path) -> Kedro:
    """Runs ``kedro ...`` in ``project``."""
    return partial(run_kedro, project)


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project in which the whole job has run, as experiment ``smoke``; only to be read.

    One for all processes of pytest-xdist: the first that needs it makes it, others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)  # of a process that failed
            making.mkdir()
            tiny_project(making)
            done = run_kedro(making, "run", "--pipeline", "compress", "--env", "smoke")
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            assert "step_02" in done.stdout
            making.rename(folder)
    return folder


@pytest.fixture
def finished_copy(finished_project: Path, tmp_path: Path) -> Path:
    """A copy of the finished project, to be written to."""
    return shutil.copytree(finished_project, tmp_path / "project")
