"""Processes that Ray places; what needs Ray itself is left out where it is not installed."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock
from pydantic import ValidationError
from tests.conftest import ROOT, environment

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.parallel.engines.cluster import EngineError, devices
from tad_blockdrop.storage.experiment_record import of_stage


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_command_is_told_that_installs_it() -> None:
    with pytest.raises(EngineError, match=r"pip install 'tad-blockdrop\[ray\]'"):
        devices(RuntimeConfig(engine="ray", devices=2))


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="shares nothing with devices: 1"):
        RuntimeConfig(engine="ray")
    with pytest.raises(ValidationError, match="address belongs to engine: ray"):
        RuntimeConfig(devices=2, address="auto")


def test_who_places_the_processes_is_no_part_of_an_experiment() -> None:
    placed = {"runtime.engine": "ray", "runtime.address": "auto", "runtime.seed": 1}
    assert of_stage(placed, "baseline") == {"runtime.seed": 1}


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("localhost:1", "no Ray cluster answers at localhost:1"),
        ("ray://head:10001", "takes host:port of a cluster's head"),
        ("head", "takes host:port of a cluster's head"),
    ],
)
def test_an_address_where_no_cluster_answers_is_told(address: str, told: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EngineError, match=told):
        devices(RuntimeConfig(engine="ray", devices=2, address=address))


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("killed", 1, r"process 1 of 2, on \S+, failed \(it is gone.*worker-1\.log"),
        ("stopped", 143, "stopped by SIGTERM"),
        ("failed", 1, r"b\.mp4 cannot be read"),
    ],
)
def test_however_it_ends_a_sentence_says_so_and_no_process_stays(
    tmp_path: Path, end: str, code: int, told: str
) -> None:
    """Two processes on a cluster of its own, of which the first waits for the second."""
    pytest.importorskip("ray")
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")]
    owner = subprocess.Popen(
        [sys.executable, "-m", "held_job", str(tmp_path), "together", "ray"], cwd=tmp_path,
        env=environment() | {"PYTHONPATH": os.pathsep.join(paths)}, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    held = [tmp_path / f"{rank}.held" for rank in range(2)]
    while not all(map(Path.exists, held)):
        assert owner.poll() is None, owner.communicate()
        time.sleep(0.05)
    if end == "killed":
        os.kill(int(held[1].read_text()), signal.SIGKILL)
    elif end == "stopped":
        owner.terminate()
    else:
        (tmp_path / "fail").touch()
    _, said = owner.communicate()
    assert owner.returncode == code, said
    assert re.search(told, said), said
    for rank in range(2):
        FileLock(tmp_path / f"{rank}.lock").acquire()  # free: its holder is gone
