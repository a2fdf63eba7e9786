"""Runs that are stopped, shut out, or have no disk to write to: a sentence, and nothing lost."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import environment, run_kedro, tiny_project

DATA_RUN = ["run", "--pipeline", "data", "--env", "smoke", "--only-missing-outputs"]
# Refused by its own node, so whatever stops it before that came first.
QUICK_RUN = ["run", "--pipeline", "import_weights", "--env", "smoke"]
ITS_OWN_ERROR = "no weights file is given"


def mount(*arguments: str) -> None:
    """``mount``, or the test is skipped."""
    if sys.platform != "linux" or not shutil.which("mount"):
        pytest.skip("needs Linux to mount a file system")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A tiny project with an empty data folder, on which a test may mount something."""
    folder = tiny_project(tmp_path / "tiny")
    (folder / "data").mkdir()
    yield folder
    if os.path.ismount(folder / "data"):
        subprocess.run(["umount", str(folder / "data")], check=True)


def temporary_files(folder: Path) -> list[str]:
    return [path.name for path in (folder / "data").rglob("*.tmp*")]


def test_a_second_run_is_refused_and_a_dead_one_does_no_harm(tiny: Path) -> None:
    experiment = tiny / "data/06_models/smoke"
    experiment.mkdir(parents=True)
    (experiment / ".running").write_text("process 4711, started 2026-01-01T00:00:00+00:00")
    with FileLock(experiment / ".lock"):
        refused = run_kedro(tiny, *QUICK_RUN)
    assert refused.returncode == 1
    assert "is being run by process 4711, started 2026-01-01" in refused.stderr
    assert "Traceback" not in refused.stderr
    # As after kill -9: its note is still there, its lock is gone.
    assert ITS_OWN_ERROR in run_kedro(tiny, *QUICK_RUN).stderr


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_a_run_cleanly(tiny: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *DATA_RUN], cwd=tiny, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "data.generate_benchmark" in line:
            break
    os.killpg(process.pid, number)
    shown, told = process.communicate()
    assert process.returncode == 128 + number, told
    assert f"stopped by {number.name}" in told
    assert "--only-missing-outputs" in told
    assert "Traceback" not in told + shown
    assert not temporary_files(tiny)
    FileLock(tiny / "data/06_models/smoke/.lock", timeout=0).acquire()


def test_a_full_disk_is_told_and_what_is_finished_stays(tiny: Path) -> None:
    data = str(tiny / "data")
    mount("-t", "tmpfs", "-o", "size=250k", "tmpfs", data)
    stopped = run_kedro(tiny, *DATA_RUN)
    assert stopped.returncode == 1
    assert "No space left on device" in stopped.stderr
    assert "free some space" in stopped.stderr
    assert "Traceback" not in stopped.stderr + stopped.stdout
    assert not temporary_files(tiny)
    finished = {
        path: path.stat().st_mtime_ns for path in (tiny / "data/01_raw/smoke/videos").glob("*.mp4")
    }
    assert finished
    mount("-o", "remount,size=20m", data)
    done = run_kedro(tiny, *DATA_RUN)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert not temporary_files(tiny)


def test_a_read_only_data_folder_is_told(tiny: Path) -> None:
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", str(tiny / "data"))
    refused = run_kedro(tiny, *DATA_RUN)
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stderr
    assert "check the permissions" in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
