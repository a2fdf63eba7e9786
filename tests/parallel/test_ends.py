"""However an owner ends, its processes end with it."""

import os
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
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")]
    given = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    owners = {}
    for number in ENDS:
        command = [sys.executable, "-m", "held_job", str(tmp_path / number.name)]
        owners[number] = subprocess.Popen(
            command, env=given, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
    for number, owner in owners.items():
        held = [tmp_path / number.name / f"{rank}.held" for rank in range(2)]
        while not all(map(Path.exists, held)):
            assert owner.poll() is None, owner.stderr
            time.sleep(0.05)
        owner.send_signal(number)
    for number, owner in owners.items():
        _, told = owner.communicate()
        assert owner.returncode == ENDS[number], told
        assert "Traceback" not in told
        assert "death signal" not in told
        for rank in range(2):
            FileLock(tmp_path / number.name / f"{rank}.lock").acquire()  # free: its holder is gone
