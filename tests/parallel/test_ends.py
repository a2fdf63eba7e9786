"""However an owner ends, its processes end with it, and theirs with them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from tests.conftest import ROOT

ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}  # and the owner's exit code


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_no_process_outlives_its_owner(tmp_path: Path) -> None:
    owners = {n: begin("held_job", str(tmp_path / n.name), at=tmp_path) for n in ENDS}
    for number, owner in owners.items():
        await_files(owner, *(tmp_path / number.name / f"{rank}.held" for rank in range(2)))
        owner.send_signal(number)
    for number, owner in owners.items():
        _, told = owner.communicate()
        assert owner.returncode == ENDS[number], told
        assert "Traceback" not in told
        assert "death signal" not in told
        for rank in range(2):
            FileLock(tmp_path / number.name / f"{rank}.lock").acquire()  # free: its holder is gone


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_loader_ends_with_the_process_that_it_reads_for(tmp_path: Path) -> None:
    """One whose owner is killed; two of a job of which one process is killed, not the owner."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    owner = begin("held_loader", str(alone), "alone", at=tmp_path)
    other = begin("held_loader", str(shared), "two", at=tmp_path)
    await_files(owner, alone / "0.held")
    owner.kill()
    owner.communicate()
    FileLock(alone / "0.lock").acquire()

    await_files(other, shared / "0.held", shared / "1.held")
    found = re.search(r"rank 1 of 2 is process (\d+)", (shared / "worker-1.log").read_text())
    os.kill(int(found[1]), signal.SIGKILL)  # type: ignore[index]
    assert other.stdout
    assert "process 1 of 2 failed (it was killed by SIGKILL" in other.stdout.readline()
    for rank in range(2):
        FileLock(shared / f"{rank}.lock").acquire()
    assert other.poll() is None
    other.kill()
    other.communicate()


def begin(module: str, *arguments: str, at: Path) -> subprocess.Popen[str]:
    """A helper as a process of its own."""
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")]
    given = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=given, cwd=at, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def await_files(owner: subprocess.Popen[str], *files: Path) -> None:
    while not all(map(Path.exists, files)):
        assert owner.poll() is None, owner.communicate()
        time.sleep(0.05)
