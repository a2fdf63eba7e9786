"""Catalog entries appear whole or not at all."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError, Version

from tad_blockdrop.datasets.tables import CSVTable, JSONFile, ParquetTable
from tad_blockdrop.storage.atomic import atomic_write, sweep, temporary_sibling

TABLE = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


@pytest.mark.parametrize(("kind", "name"), [(ParquetTable, "t.parquet"), (CSVTable, "t.csv")])
def test_tables_come_back_as_they_were(tmp_path: Path, kind: type, name: str) -> None:
    options = {"save_args": {"index": False}} if kind is CSVTable else {}
    dataset = kind(filepath=str(tmp_path / name), version=Version(None, "v1"), **options)
    dataset.save(TABLE)
    again = kind(filepath=str(tmp_path / name), version=Version(None, None))
    pd.testing.assert_frame_equal(again.load(), TABLE, check_dtype=kind is ParquetTable)
    assert {p.name for p in (tmp_path / name / "v1").iterdir()} == {name, f"{name}.sha256"}


def test_a_failed_save_leaves_nothing_that_exists(tmp_path: Path) -> None:
    dataset = JSONFile(filepath=str(tmp_path / "x.json"))
    with pytest.raises(DatasetError):
        dataset.save({"fine": 1, "not json": object()})
    assert not dataset.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_what_was_there(tmp_path: Path) -> None:
    dataset = JSONFile(filepath=str(tmp_path / "x.json"))
    dataset.save({"old": 1})
    with pytest.raises(DatasetError):
        dataset.save(object())
    assert dataset.load() == {"old": 1}


def test_whole_replaces_a_folder_in_one_step(tmp_path: Path) -> None:
    final = tmp_path / "folder"
    for text in ("first", "second"):
        with atomic_write(final) as temporary:
            temporary.mkdir()
            (temporary / "file").write_text(text)
    assert (final / "file").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_whole_removes_its_temporary_on_failure(tmp_path: Path) -> None:
    def cut_while_writing() -> None:
        with atomic_write(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        cut_while_writing()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_were_writing_is_swept(tmp_path: Path) -> None:
    kept = [tmp_path / "a" / name for name in ("x.parquet", ".hidden.tmp", ".x.tmp.parquet")]
    for number, name in enumerate(("x.parquet", "video.mp4", "checkpoint")):
        temporary = temporary_sibling(tmp_path / "a" / str(number) / name)
        temporary.parent.mkdir(parents=True)
        if name == "checkpoint":
            temporary.mkdir()
            (temporary / "weights.safetensors").write_text("half")
        else:
            temporary.write_text("half")
    for path in kept:
        path.write_text("whole")
    sweep(tmp_path)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
    assert not list(tmp_path.rglob("*checkpoint*"))
