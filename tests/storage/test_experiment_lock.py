"""One at a time in an experiment."""

from pathlib import Path

import pytest
from filelock import FileLock

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


@pytest.mark.parametrize("name", [LOCK, HOLDER])
def test_a_folder_in_the_place_of_its_files_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ExperimentError, match=f"{name} is a folder"), hold(tmp_path):
        pass
