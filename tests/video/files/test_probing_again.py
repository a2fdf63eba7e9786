"""What was probed is known until its file changes; what cannot be read is looked at again."""

import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dataset_files import write_video

from tad_blockdrop.video.files import probing
from tad_blockdrop.video.files.clock import PLAYER
from tad_blockdrop.video.files.guarded_processes import Outcome
from tad_blockdrop.video.files.probe import VideoFacts, probe
from tad_blockdrop.video.files.probing import probe_videos

A = pd.DataFrame({"video_id": ["a"], "split": "train", "fps": math.nan})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "videos"


def test_known_files_are_not_read_again_until_they_change(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = write_video(folder / "a.mp4", seconds=1)
    before, _ = probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=cache)
    stamp = path.stat()
    path.write_bytes(bytes(stamp.st_size))  # the same size, no video any more
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with (cache / probing.KNOWN).open("a") as file:
        file.write('{"path": "torn')
    again, problems = probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=cache)
    assert problems == []
    assert again.equals(before)
    os.utime(path)
    _, problems = probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=cache)
    assert [p.kind for p in problems] == ["unreadable video"]


def test_what_an_older_version_found_is_found_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(folder / "a.mp4", seconds=1)
    monkeypatch.setattr(probing, "VERSION", probing.VERSION - 1)
    probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=tmp_path)
    monkeypatch.undo()
    for lines in (2, 2):
        probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=tmp_path)
        assert len((tmp_path / probing.KNOWN).read_text().splitlines()) == lines


def test_a_known_file_that_is_gone_since_is_told(folder: Path, tmp_path: Path) -> None:
    write_video(folder / "real.mp4")
    (folder / "a.mp4").symlink_to(folder / "real.mp4")
    probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=tmp_path)
    (folder / "real.mp4").unlink()
    _, (problem,) = probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=tmp_path)
    assert (problem.video_id, problem.kind) == ("a", "unreadable video")


def test_a_file_that_goes_while_it_is_probed_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(folder / "a.mp4")
    found = probe(path, PLAYER)

    def look_once(_: object, jobs: list[Any], *__: object) -> list[Outcome[Any, VideoFacts]]:
        path.unlink()
        return [Outcome(jobs[0], found, None)]

    monkeypatch.setattr(probing, "run_guarded", look_once)
    files = {"a": (path, PLAYER)}
    facts, problems = probing.probe_files(files, 1, 30, fatal=True, cache=tmp_path)
    assert (facts["video_id"].tolist(), problems) == (["a"], [])
    assert not (tmp_path / probing.KNOWN).exists()


def test_unreadable_files_are_tried_again(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "a.mp4").touch()
    assert probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=tmp_path)[0].empty
    write_video(folder / "a.mp4")
    assert len(probe_videos(A, folder, PLAYER, 1, 30, fatal=True, cache=tmp_path)[0]) == 1
