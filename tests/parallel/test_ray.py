"""Processes that Ray places; what needs Ray itself is left out where it is not installed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import shared_videos
from filelock import FileLock
from kedro.io import DatasetError
from pydantic import ValidationError
from tests.conftest import ROOT, environment

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.datasets.videos import (
    MANIFEST,
    VideoFolderDataset,
    VideoTask,
    VideoTasks,
)
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


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, RuntimeConfig]]:
    """A cluster of two nodes with one CPU each, and the settings that use it."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    paths = [str(ROOT / "src"), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # of the nodes
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster, RuntimeConfig(engine="ray", devices=2, address=cluster.address)
    ray.shutdown()
    cluster.shutdown()


def test_videos_are_made_on_all_nodes_and_again_where_one_is_lost(
    tmp_path: Path, two_nodes: tuple[Any, RuntimeConfig]
) -> None:
    _, runtime = two_nodes
    one, two = tmp_path / "one", tmp_path / "two"
    tasks = {
        "a": VideoTask("one", partial(shared_videos.write_beside, one, two)),
        "b": VideoTask("two", partial(shared_videos.write_beside, two, one)),
    }
    folder = VideoFolderDataset(filepath=str(tmp_path / "made"))
    folder.save(VideoTasks(tasks, cluster=runtime))
    assert folder.load().made_from == {"a": "one", "b": "two"}
    assert {path.name for path in (tmp_path / "made").glob("*.mp4")} == {"a.mp4", "b.mp4"}
    with pytest.raises(DatasetError, match="c: it cannot be read"):
        folder.save(
            VideoTasks(tasks | {"c": VideoTask("three", shared_videos.refuse)}, cluster=runtime)
        )
    assert not (tmp_path / "made" / MANIFEST).exists()
    assert not list((tmp_path / "made").glob(".*"))
    lost = VideoTask("four", partial(shared_videos.lose_the_first, tmp_path / "lost"))
    folder.save(VideoTasks({"d": lost}, cluster=runtime))
    assert (tmp_path / "made" / "d.mp4").read_text() == "again"
