"""The dataset's tables: together or not at all, wherever their project is."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from tad_blockdrop.datasets.dataset_tables import DatasetTables
from tad_blockdrop.datasets.tables import VideoTable
from tad_blockdrop.video.action_dataset import ActionDataset

FRAMES = "data/02_intermediate/mine/proxies/a.mp4"
INSTANCES = pd.DataFrame(
    {"video_id": ["a"], "label": ["run"], "category": ["run"], "start": [0.5], "end": [1.5]}
)


def dataset(path: Path, **changed: object) -> ActionDataset:
    videos = pd.DataFrame({"video_id": ["a"], "split": ["train"], "path": [str(path)]})
    return ActionDataset(videos.assign(**changed), INSTANCES, ("run", "jump"))


def entry(project: Path) -> DatasetTables:
    return DatasetTables(filepath=str(project / "data/03_primary/mine"))


def make_project(folder: Path) -> Path:
    frames = folder / FRAMES
    frames.parent.mkdir(parents=True)
    frames.write_bytes(b"frames")
    return folder.resolve()


def as_before_checksums(project: Path, path: Path) -> None:
    """Tables as older versions wrote them: absolute paths, no checksums."""
    folder = project / "data/03_primary/mine"
    for seal in folder.glob("*.sha256"):
        seal.unlink()
    dataset(path).videos.to_parquet(folder / "videos.parquet")


def test_a_moved_and_a_copied_project_have_their_own_frames(tmp_path: Path) -> None:
    first = make_project(tmp_path / "first")
    entry(first).save(dataset(first / FRAMES))
    stored = pd.read_parquet(first / "data/03_primary/mine/videos.parquet")
    assert stored["path"].tolist() == [FRAMES]
    copy = Path(shutil.copytree(first, tmp_path / "copy")).resolve()
    assert entry(copy).load().videos["path"].tolist() == [str(copy / FRAMES)]
    assert entry(copy).load().identity == entry(first).load().identity
    first.rename(tmp_path / "moved")
    moved = (tmp_path / "moved").resolve()
    assert entry(moved).load().videos["path"].tolist() == [str(moved / FRAMES)]
    table = VideoTable(filepath=str(moved / "data/03_primary/mine/videos.parquet"))
    assert table.load()["path"].tolist() == [str(moved / FRAMES)]


def test_videos_elsewhere_stay_where_they_are(tmp_path: Path) -> None:
    project, outside = make_project(tmp_path / "project"), tmp_path / "videos/a.mp4"
    entry(project).save(dataset(outside))
    assert entry(project).load().videos["path"].tolist() == [str(outside)]


def test_tables_of_an_older_version_never_lead_into_another_project(tmp_path: Path) -> None:
    first, copy = make_project(tmp_path / "first"), make_project(tmp_path / "copy")
    entry(copy).save(dataset(copy / FRAMES))
    as_before_checksums(copy, first / FRAMES)
    assert entry(copy).load().videos["path"].tolist() == [str(copy / FRAMES)]
    (copy / FRAMES).unlink()
    with pytest.raises(DatasetError, match="belongs to another project"):
        entry(copy).load()


def test_tables_of_two_runs_are_not_put_together(tmp_path: Path) -> None:
    one, other = make_project(tmp_path / "one"), make_project(tmp_path / "other")
    entry(one).save(dataset(one / FRAMES))
    entry(other).save(dataset(other / FRAMES, split=["test"]))
    for name in ("videos.parquet", "videos.parquet.sha256"):
        shutil.copy(other / "data/03_primary/mine" / name, one / "data/03_primary/mine" / name)
    with pytest.raises(DatasetError, match="were not written together"):
        entry(one).load()


def test_what_was_cut_while_it_was_replaced_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project")
    tables = entry(project)
    tables.save(dataset(project / FRAMES))
    broken = dataset(project / FRAMES)
    monkeypatch.setattr(broken.instances, "to_parquet", None)
    with pytest.raises(DatasetError):
        tables.save(broken)
    assert not tables.exists()


def test_the_identity_is_what_the_tables_say(tmp_path: Path) -> None:
    first = dataset(tmp_path / "a.mp4")
    assert dataset(tmp_path / "b.mp4").identity == first.identity
    assert dataset(tmp_path / "a.mp4", split=["test"]).identity != first.identity
    renamed = ActionDataset(first.videos, first.instances, ("jump", "run"))
    assert renamed.identity != first.identity
    two = pd.concat([INSTANCES, INSTANCES.assign(start=0.2)], ignore_index=True)
    forwards, backwards = (
        ActionDataset(first.videos, rows, first.classes) for rows in (two, two[::-1])
    )
    assert forwards.identity == backwards.identity != first.identity
