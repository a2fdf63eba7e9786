"""One at a time in an experiment."""

import re
from pathlib import Path

import pytest
from filelock import FileLock
from held_lock import held_for

from tad_blockdrop.storage.experiment_lock import HOLDER, LOCK, hold
from tad_blockdrop.storage.experiment_record import ExperimentError


def test_the_other_one_is_named(tmp_path: Path) -> None:
    with hold(tmp_path / "mine"):
        pass
    with (
        FileLock(tmp_path / "mine" / LOCK),
        pytest.raises(ExperimentError, match=r"'mine' is being run by process \d+, started 2"),
        hold(tmp_path / "mine"),
    ):
        pass
    (tmp_path / "mine" / HOLDER).write_bytes(b"\xff")
    with hold(tmp_path / "mine"):
        pass


def test_a_shared_folder_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with hold(tmp_path):
        pass
    done: list[bool] = []
    with held_for(tmp_path / LOCK, 0.2, lambda: done.append(True)), hold(tmp_path, wait=True):
        assert done
    assert re.search(r"is being written by process \d+, started .*: waiting", caplog.text)


@pytest.mark.parametrize("name", [LOCK, HOLDER])
def test_a_folder_in_the_place_of_its_files_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ExperimentError, match=f"{name} is a folder"), hold(tmp_path):
        pass
