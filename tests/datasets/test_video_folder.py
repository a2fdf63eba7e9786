"""A folder of videos: made in parallel, resumed, and no worse for one that hangs."""

import json
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from guard_clock import GuardClock, hang
from held_lock import held_for
from kedro.io import DatasetError

from tad_blockdrop.checksums import DamagedError
from tad_blockdrop.datasets.videos import (
    CHANGED,
    MANIFEST,
    VideoFolderDataset,
    VideoFolderError,
    VideoTask,
    VideoTasks,
)
from tad_blockdrop.storage.experiment_lock import HOLDER, LOCK
from tad_blockdrop.storage.stamps import check_videos, write_stamp
from tad_blockdrop.video.files.guarded_processes import HEARTBEAT_SECONDS, heartbeat


def write(text: str, path: Path) -> dict[str, Any]:
    path.write_text(text)
    return {"length": len(text)}


def begin_and_hang(sign: Path, path: Path) -> None:
    path.write_text("half")
    hang(sign)


def take_long_but_move(path: Path) -> None:
    for _ in range(3):
        time.sleep(HEARTBEAT_SECONDS)
        heartbeat()
    path.write_text("slow")


def fill_the_disk(path: Path) -> None:
    path.write_text("half")
    raise OSError(28, "No space left on device")


def task(text: str) -> VideoTask:
    return VideoTask(f"from {text}", partial(write, text))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK, HOLDER}


def test_what_is_made_is_not_made_again(tmp_path: Path) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    folder.save(VideoTasks({"a": task("one"), "b.c": task("two")}, workers=1))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest == {
        "videos": {
            "a": {"made_from": "from one", "length": 3},
            "b.c": {"made_from": "from two", "length": 3},
        },
        "failed": {},
    }
    kept = (tmp_path / "a.mp4").stat()
    folder.save(VideoTasks({"a": task("one"), "b.c": task("three")}, workers=1))
    assert (tmp_path / "a.mp4").stat() == kept
    assert (tmp_path / "b.c.mp4").read_text() == "three"
    (tmp_path / "a.mp4").unlink()
    folder.save(VideoTasks({"a": task("one"), "b.c": task("three")}, workers=1))
    assert (tmp_path / "a.mp4").read_text() == "one"


def test_what_is_otherwise_than_expected_is_made_again(tmp_path: Path) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    folder.save(VideoTasks({"a": task("one")}, workers=1))
    (tmp_path / "a.mp4").write_text("ONE")
    write_stamp(tmp_path / "a.mp4", "from one", {"length": 4})
    for length, text in ((4, "ONE"), (3, "one")):
        again = replace(task("one"), expected={"length": length, "not known then": 1})
        folder.save(VideoTasks({"a": again}, workers=1))
        assert (tmp_path / "a.mp4").read_text() == text


def test_one_that_is_not_what_was_expected_has_failed(tmp_path: Path) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    tasks = {"a": replace(task("one"), expected={"length": 4}), "b": task("two")}
    with pytest.raises(DatasetError) as error:
        folder.save(VideoTasks(tasks, workers=1))
    assert "\n  a: its file changed while it was read: run again\n" in str(error.value.__cause__)
    assert not folder.exists()
    folder.save(VideoTasks(tasks, workers=1, skip_failed=True))
    assert folder.load().failed == {"a": CHANGED}
    assert folder.load().made_from == {"b": "from two"}


def test_two_that_share_a_folder_take_turns(tmp_path: Path) -> None:
    """What the other one is writing stays until it is done."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to(tmp_path / "one")
    other = tmp_path / "one" / ".b.0123abcd.tmp.mp4"
    other.touch()
    seen: list[bool] = []
    with held_for(tmp_path / "one" / LOCK, 0.3, lambda: seen.append(other.exists())):
        VideoFolderDataset(filepath=str(tmp_path / "two")).save(VideoTasks({"a": task("one")}, 1))
    assert seen == [True]
    assert files(tmp_path / "one") == {"a.mp4", "a.made.json", MANIFEST, f"{MANIFEST}.sha256"}


def test_a_list_is_not_gone_while_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    tasks = VideoTasks({"a": task("one")}, workers=1)
    folder.save(tasks)
    there: list[bool] = []

    def make_none(*_: object) -> dict[str, str]:
        there.append(folder.exists())
        return {}

    monkeypatch.setattr(VideoFolderDataset, "_make_all", make_none)
    folder.save(tasks)
    assert there == [True]


def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = tmp_path / "hangs"
    GuardClock(monkeypatch, 3.0, sign)
    videos = tmp_path / "videos"
    folder = VideoFolderDataset(filepath=str(videos))
    tasks = {"a": VideoTask("x", partial(begin_and_hang, sign)), "b": task("fine")}
    with pytest.raises(DatasetError) as error:
        folder.save(VideoTasks(tasks, workers=2, timeout=3.0))
    assert isinstance(error.value.__cause__, VideoFolderError)
    assert "\n  a: given up: nothing happened for 3 s\n" in str(error.value.__cause__)
    assert files(videos) == {"b.mp4", "b.made.json"}
    assert not folder.exists()

    folder.save(VideoTasks(tasks, workers=1, timeout=1.0, skip_failed=True))
    assert folder.load().failed == {"a": "given up: nothing happened for 1 s"}


def test_one_that_takes_long_but_moves_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    GuardClock(monkeypatch, 1.0, tmp_path / "never", step=0.9)
    folder = VideoFolderDataset(filepath=str(tmp_path))
    folder.save(VideoTasks({"a": VideoTask("y", take_long_but_move)}, workers=1, timeout=1.0))
    assert (tmp_path / "a.mp4").read_text() == "slow"


def test_other_errors_are_not_skipped(tmp_path: Path) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    tasks = {"a": VideoTask("x", fill_the_disk), "b": task("fine")}
    with pytest.raises(DatasetError, match="No space left on device"):
        folder.save(VideoTasks(tasks, workers=1, skip_failed=True))
    assert not folder.exists()
    assert not {name for name in files(tmp_path) if "tmp" in name}


def test_what_has_changed_since_is_made_again(tmp_path: Path) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    tasks = VideoTasks({name: task(name) for name in "abc"}, workers=1)
    folder.save(tasks)
    kept = (tmp_path / "c.mp4").stat().st_ino
    (tmp_path / "a.mp4").write_text("A")
    (tmp_path / "b.made.json").write_text("")
    with pytest.raises(DamagedError, match=r"2 video\(s\) are not what was made") as error:
        check_videos(tmp_path.glob("*.mp4"))
    assert "a.mp4: its checksum differs" in str(error.value)
    assert "b.mp4: its stamp cannot be read" in str(error.value)
    folder.save(tasks)
    check_videos(tmp_path.glob("*.mp4"))
    assert (tmp_path / "a.mp4").read_text() == "a"
    assert (tmp_path / "c.mp4").stat().st_ino == kept


def test_a_copy_is_read_once_and_then_known(tmp_path: Path) -> None:
    folder = VideoFolderDataset(filepath=str(tmp_path))
    folder.save(VideoTasks({"a": task("a")}, workers=1))
    video, before = tmp_path / "a.mp4", (tmp_path / "a.mp4").stat().st_mtime_ns
    os.utime(video, ns=(0, 0))
    check_videos([video])
    assert video.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["", "[]", '{"videos": [], "failed": {}}', '{"failed": 1}'])
def test_a_list_that_is_not_ours_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DatasetError, match="is not the list of videos that were made here"):
        VideoFolderDataset(filepath=str(tmp_path)).load()
