"""What the tests of pipelines and command line share: a project folder of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

Kedro = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project without data: configuration and metadata; the package is installed."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf" / "local").mkdir()
    (tmp_path / "src").mkdir()  # the package itself is installed
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def kedro(project: Path) -> Kedro:
    """Runs ``kedro ...`` in ``project`` as a user does; returns the finished process."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        )

    return run
