"""All videos probed: found safely, in parallel, within a time limit, and not twice."""

import os
import time
from pathlib import Path

import pytest
from dataset_files import write_video

from tad_blockdrop.video.files import guarded_processes as workers
from tad_blockdrop.video.files import probing
from tad_blockdrop.video.files.probe import VideoFacts, probe
from tad_blockdrop.video.files.probing import probe_videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "videos"


def hang_on_slow(path: Path) -> VideoFacts:
    """Stands in for a decoder that hangs, or dies, on some files."""
    if path.stem == "slow":
        time.sleep(60)
    if path.stem == "crash":
        os._exit(3)
    return probe(path)


def test_facts_come_in_the_order_asked(folder: Path) -> None:
    write_video(folder / "a.mp4", seconds=1)
    write_video(folder / "sub" / "v_b.mkv", seconds=2, fps=25)
    facts, problems = probe_videos(["b", "a"], folder, 2, 30, fatal=True)
    assert problems == []
    assert facts["video_id"].tolist() == ["b", "a"]
    assert facts["n_frames"].tolist() == [50, 10]
    assert facts["fps"].tolist() == [25, 10]
    assert facts["duration"].tolist() == [2.0, 1.0]
    assert facts[["width", "height"]].values.tolist() == [[32, 24]] * 2
    assert [Path(p).name for p in facts["path"]] == ["v_b.mkv", "a.mp4"]


def test_every_unusable_file_is_told(folder: Path) -> None:
    write_video(folder / "good.mp4")
    whole = write_video(folder / "whole.mp4", seconds=20).read_bytes()
    (folder / "whole.mp4").unlink()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video")
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    facts, problems = probe_videos(
        ["good", "gone", "empty", "text", "cut"], folder, 1, 30, fatal=False
    )
    assert facts["video_id"].tolist() == ["good"]
    found = {p.video_id: p for p in problems}
    assert {v: p.kind for v, p in found.items()} == {
        "gone": "missing file",
        "empty": "unreadable video",
        "text": "unreadable video",
        "cut": "unreadable video",
    }
    assert found["gone"].message == f"there is no video of this name in {folder.resolve()}"
    assert found["empty"].message == "the file is empty (0 bytes)"
    assert "damaged or not a video" in found["text"].message
    assert "data.on_missing" in found["gone"].advice
    assert not any(p.fatal for p in problems)
    _, strict = probe_videos(["gone", "empty"], folder, 1, 30, fatal=True)
    assert all(p.fatal for p in strict)


@pytest.mark.parametrize(
    "video_id",
    ["../secret", "/etc/secret", "..", "", "a\0b", "a\nb", "sub/a", "sub\\a", "x" * 5000, "\ud800"],
)
def test_ids_cannot_leave_the_folder(folder: Path, video_id: str) -> None:
    write_video(folder / "sub" / "a.mp4")
    write_video(folder.parent / "secret.mp4")
    facts, (problem,) = probe_videos([video_id], folder, 1, 30, fatal=False)
    assert facts.empty
    assert problem.kind == "unsafe video"
    assert problem.fatal
    assert "cannot be a file name" in problem.message


def test_links_cannot_leave_the_folder(folder: Path) -> None:
    secret = write_video(folder.parent / "secret.mp4")
    write_video(folder / "real.mp4")
    (folder / "out.mp4").symlink_to(secret)
    (folder / "outside").symlink_to(folder.parent)
    (folder / "in.mp4").symlink_to(folder / "real.mp4")
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    facts, problems = probe_videos(["out", "secret", "in", "circle"], folder, 1, 30, fatal=False)
    assert facts["video_id"].tolist() == ["in"]
    assert {p.video_id: p.kind for p in problems} == {
        "out": "unsafe video",
        "secret": "missing file",
        "circle": "unreadable video",
    }


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    write_video(folder / "a.mp4")
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert len(probe_videos(["a"], link, 1, 30, fatal=True)[0]) == 1


def test_two_files_of_one_name_are_told(folder: Path) -> None:
    write_video(folder / "a.mp4", seconds=1)
    other = write_video(folder / "a.mkv", seconds=3)
    facts, (problem,) = probe_videos(["a"], folder, 1, 30, fatal=True)
    assert facts["n_frames"].tolist() == [10]
    assert (problem.kind, problem.fatal) == ("several files", False)
    assert str(other) in problem.message


def test_a_decoder_that_hangs_or_dies_costs_one_video(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "probe", hang_on_slow)
    monkeypatch.setattr(workers, "START_SECONDS", 20.0)
    ids = ["a", "slow", "b", "crash", "c"]
    for name in ids:
        write_video(folder / f"{name}.mp4", seconds=0.5)
    facts, problems = probe_videos(ids, folder, 1, 5.0, fatal=True)
    assert facts["video_id"].tolist() == ["a", "b", "c"]
    assert [(p.video_id, p.kind, p.fatal) for p in problems] == [
        ("slow", "given up", True),
        ("crash", "given up", True),
    ]
    assert "nothing happened for 5 s" in problems[0].message
    assert "exit code 3" in problems[1].message
    assert "runtime.decode_timeout" in problems[0].advice


def test_known_files_are_not_read_again_until_they_change(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = write_video(folder / "a.mp4", seconds=1)
    before, _ = probe_videos(["a"], folder, 1, 30, fatal=True, cache=cache)
    stamp = path.stat()
    path.write_bytes(bytes(stamp.st_size))  # the same size, no video any more
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with (cache / probing.KNOWN).open("a") as file:
        file.write('{"path": "torn')
    again, problems = probe_videos(["a"], folder, 1, 30, fatal=True, cache=cache)
    assert problems == []
    assert again.equals(before)
    os.utime(path)
    _, problems = probe_videos(["a"], folder, 1, 30, fatal=True, cache=cache)
    assert [p.kind for p in problems] == ["unreadable video"]


def test_unreadable_files_are_tried_again(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "a.mp4").touch()
    assert probe_videos(["a"], folder, 1, 30, fatal=True, cache=tmp_path)[0].empty
    write_video(folder / "a.mp4")
    assert len(probe_videos(["a"], folder, 1, 30, fatal=True, cache=tmp_path)[0]) == 1
