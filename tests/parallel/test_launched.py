"""Processes that torchrun has started: one is the run, the others share its work and its end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from filelock import FileLock
from tests.conftest import ROOT, environment, run_kedro, tiny_project
from torch.distributed import TCPStore

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.parallel.engines import joined
from tad_blockdrop.parallel.engines.joined import choose_gpu
from tad_blockdrop.parallel.launcher import Place
from tad_blockdrop.parallel.shared_files import NotSharedError, await_file
from tad_blockdrop.runtime.devices import DeviceError, count_devices

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

PLACE = Place(rank=1, world=2, local_rank=1, local_world=2, master=("localhost", 29500))


def torchrun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Torchrun in ``folder``; all that it and its processes say comes from ``stdout``."""
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *arguments], cwd=folder, text=True,
        env=environment() | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def results(project: Path) -> pd.DataFrame:
    """The result table, in percent; without measured times."""
    (file,) = (project / "data/08_reporting/smoke/result_table.csv").glob("*/result_table.csv")
    return pd.read_csv(file)


@pytest.mark.skipif(torch.cuda.is_available(), reason="both would take this machine's first GPU")
def test_two_agents_make_the_table_of_one_process(finished_project: Path, tmp_path: Path) -> None:
    """As on two machines, of which each has one device; the smallest whole job."""
    project = tiny_project(tmp_path / "project")
    store = TCPStore("localhost", 0, is_master=True)  # where the agents meet: at a free port
    job = [
        "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "test",
        "--rdzv-endpoint", f"localhost:{store.port}", "--rdzv-conf", "is_host=0",
        "--local-addr", "localhost",
        "-m", "tad_blockdrop", "--pipeline", "compress", "--env", "smoke",
    ]  # fmt: skip
    agents = [torchrun(project, *job) for _ in range(2)]
    said = [agent.communicate()[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], said
    assert sum(text.count("stage 1 of ") for text in said) == 1  # one run
    pd.testing.assert_frame_equal(results(project), results(finished_project), atol=0.05, rtol=0)


ENDS: dict[str, tuple[Callable[[subprocess.Popen[str], int, Path], object], str]] = {
    "killed": (
        lambda launcher, other, job: os.kill(other, signal.SIGKILL),
        r"Error: process 1 of 2, on \S+, failed \(.*killed.*\).*worker-1\.log\. Finished work is",
    ),
    "stopped": (
        lambda launcher, other, job: launcher.terminate(),
        "stopped by SIGTERM. Finished work is kept",
    ),
    "failed": (
        lambda launcher, other, job: (job / "fail").touch(),
        r"Error: b\.mp4 cannot be read\n",
    ),
    "abandoned": (
        lambda launcher, other, job: launcher.kill(),
        "Error: the launcher of this process is gone",
    ),
}


def test_however_it_ends_one_sentence_says_so_and_no_process_stays(tmp_path: Path) -> None:
    launchers = {}
    for end in ENDS:
        (tmp_path / end).mkdir()
        held = ["-m", "held_job", str(tmp_path / end), "together"]
        launchers[end] = torchrun(tmp_path, "--standalone", "--nproc-per-node", "2", *held)
    for end, launcher in launchers.items():
        held = [tmp_path / end / f"{rank}.held" for rank in range(2)]
        while not all(map(Path.exists, held)):
            assert launcher.poll() is None, launcher.communicate()
            time.sleep(0.05)
        ENDS[end][0](launcher, int(held[1].read_text()), tmp_path / end)
    for end, launcher in launchers.items():
        said, _ = launcher.communicate()
        assert launcher.returncode, said
        assert len(re.findall(ENDS[end][1], said)) == 1, said
        ours = [line for line in said.splitlines() if "Error: " in line or "stopped by" in line]
        assert len([line for line in ours if not line.startswith("torch.")]) == 1, said
        for rank in range(2):
            FileLock(tmp_path / end / f"{rank}.lock").acquire()  # free: its holder is gone


def test_a_machine_that_sees_other_files_is_told_so(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    with pytest.raises(NotSharedError, match=r"process 1 of 2, on node-b, does not see .* share"):
        await_file(sign, "process 1 of 2, on node-b,", seconds=0)
    sign.touch()
    await_file(sign, "process 1 of 2, on node-b,", seconds=0)


def test_all_processes_of_a_launcher_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SimpleNamespace(size=4, local=2, without_gpu="process 3, on node-b")
    monkeypatch.setattr(joined, "world", lambda: world)
    cpu = torch.device("cpu")
    for devices in (1, "auto", 4):
        assert count_devices(RuntimeConfig(devices=devices), cpu) == 4
    with pytest.raises(DeviceError, match=r"runtime\.devices is 3, .* has started 4 processes"):
        count_devices(RuntimeConfig(devices=3), cpu)
    with pytest.raises(DeviceError, match="process 3, on node-b, has no GPU to itself"):
        count_devices(RuntimeConfig(), torch.device("cuda"))


@pytest.mark.parametrize(("visible", "seen"), [(None, "1"), ("", ""), ("5", "5"), ("4,6", "6")])
def test_each_process_sees_one_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    choose_gpu(PLACE)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_a_launcher_of_kedro_run_is_told_what_to_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = run_kedro(tiny_project(tmp_path), "run", "--pipeline", "data", "--env", "smoke")
    assert refused.returncode == 1
    assert "have it start '-m tad_blockdrop'" in refused.stderr
