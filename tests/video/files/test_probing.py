"""All videos probed: found safely, in parallel, within a time limit, and not twice."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from dataset_files import write_video
from guard_clock import GuardClock, hang
from PIL import Image

from tad_blockdrop.video.files import probing
from tad_blockdrop.video.files.clock import PLAYER, Timing
from tad_blockdrop.video.files.probe import VideoFacts, probe
from tad_blockdrop.video.files.probing import probe_videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "videos"


def listed(*video_ids: str, split: str = "train", fps: float = math.nan) -> pd.DataFrame:
    table = pd.DataFrame({"video_id": pd.Series(video_ids, dtype=object)})
    return table.assign(split=split, fps=fps)


def hang_on_slow(job: tuple[Path, Timing]) -> VideoFacts:
    """Stands in for a decoder that hangs, or dies, on some files."""
    path, timing = job
    if path.stem == "slow":
        hang(path.parent.parent / "hangs")
    if path.stem == "crash":
        os._exit(3)
    return probe(path, timing)


def test_facts_come_in_the_order_asked(folder: Path) -> None:
    write_video(folder / "a.mp4", seconds=1)
    write_video(folder / "sub" / "v_b.mkv", seconds=2, fps=25)
    facts, problems = probe_videos(listed("b", "a"), folder, PLAYER, 2, 30, fatal=True)
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
    (folder / "lfs.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    facts, problems = probe_videos(
        listed("good", "gone", "empty", "text", "cut", "lfs"), folder, PLAYER, 1, 30, fatal=False
    )
    assert facts["video_id"].tolist() == ["good"]
    found = {p.video_id: p for p in problems}
    assert {v: p.kind for v, p in found.items()} == {
        "gone": "missing file",
        "empty": "unreadable video",
        "text": "unreadable video",
        "cut": "unreadable video",
        "lfs": "unreadable video",
    }
    assert found["gone"].message == f"there is no video of this name in {folder.resolve()}"
    assert found["empty"].message == "the file is empty (0 bytes)"
    assert found["text"].message == "it is not a video"
    assert found["lfs"].message.endswith("not the video itself: git lfs pull")
    assert "data.on_missing" in found["gone"].advice
    assert not any(p.fatal for p in problems)
    _, strict = probe_videos(listed("gone", "empty"), folder, PLAYER, 1, 30, fatal=True)
    assert all(p.fatal for p in strict)


@pytest.mark.parametrize(
    "video_id",
    [
        "../secret",
        "/etc/secret",
        "..",
        "",
        "a\0b",
        "a\nb",
        "sub//a",
        "sub\\..\\a",
        "x" * 5000,
        "\ud800",
    ],
)
def test_ids_cannot_leave_the_folder(folder: Path, video_id: str) -> None:
    write_video(folder / "sub" / "a.mp4")
    write_video(folder.parent / "secret.mp4")
    facts, (problem,) = probe_videos(listed(video_id), folder, PLAYER, 1, 30, fatal=False)
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
    ids = listed("out", "secret", "in", "circle")
    facts, problems = probe_videos(ids, folder, PLAYER, 1, 30, fatal=False)
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
    assert len(probe_videos(listed("a"), link, PLAYER, 1, 30, fatal=True)[0]) == 1


def test_two_files_of_one_name_are_told(folder: Path) -> None:
    write_video(folder / "a.mp4", seconds=1)
    other = write_video(folder / "a.mkv", seconds=3)
    facts, (problem,) = probe_videos(listed("a"), folder, PLAYER, 1, 30, fatal=True)
    assert facts["n_frames"].tolist() == [10]
    assert (problem.kind, problem.fatal) == ("several files", False)
    assert str(other) in problem.message


def test_two_files_of_one_name_in_two_folders_are_asked_about(folder: Path) -> None:
    write_video(folder / "cam1" / "rec.mp4", seconds=1)
    write_video(folder / "cam2" / "rec.mkv", seconds=2)
    facts, (problem,) = probe_videos(listed("rec"), folder, PLAYER, 1, 30, fatal=False)
    assert facts.empty
    assert (problem.kind, problem.fatal) == ("several files", True)
    assert problem.message == "'rec' may be any of cam1/rec.mp4, cam2/rec.mkv"
    assert "write the path" in problem.advice
    facts, problems = probe_videos(
        listed("cam1/rec", "cam2\\rec.mkv"), folder, PLAYER, 1, 30, fatal=True
    )
    assert problems == []
    assert facts["n_frames"].tolist() == [10, 20]


def test_a_name_matches_in_every_unicode_form_and_case_is_hinted_at(folder: Path) -> None:
    write_video(folder / "cafe\u0301.mp4")  # as macOS writes it
    facts, problems = probe_videos(listed("caf\u00e9"), folder, PLAYER, 1, 30, fatal=True)
    assert problems == []
    assert len(facts) == 1
    _, (problem,) = probe_videos(listed("CAF\u00c9"), folder, PLAYER, 1, 30, fatal=True)
    assert problem.kind == "missing file"
    assert problem.message.endswith("(cafe\u0301.mp4 differs in upper and lower case only)")


def test_paths_of_another_machine_are_hinted_at(folder: Path) -> None:
    write_video(folder / "rec.mp4")
    for name in ("C:\\films\\rec.mp4", "ann/rec"):
        _, (problem,) = probe_videos(listed(name), folder, PLAYER, 1, 30, fatal=True)
        assert problem.message.endswith("(rec.mp4 has this name, but lies in another folder)")


def test_a_file_that_is_passed_over_is_named_with_the_reason(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.pdf").touch()
    (folder / "b.jpg").touch()
    _, problems = probe_videos(listed("a", "b"), folder, PLAYER, 1, 30, fatal=True)
    assert problems[0].message.endswith(
        "(a.pdf is passed over: '.pdf' is not the ending of a video)"
    )
    assert "(b.jpg is passed over: it is a picture;" in problems[1].message


def as_other_name(path: Path, other: Path) -> str:
    return path.stem + "." + path.suffix[1:]


def as_link(path: Path, other: Path) -> str:
    other.symlink_to(path)
    return other.stem


def as_hard_link(path: Path, other: Path) -> str:
    os.link(path, other)
    return other.stem


def as_copy(path: Path, other: Path) -> str:
    shutil.copy(path, other)
    return other.stem


@pytest.mark.parametrize("again", [as_other_name, as_link, as_hard_link, as_copy])
def test_one_video_under_two_ids(folder: Path, again: Callable[[Path, Path], str]) -> None:
    path = write_video(folder / "a.mp4")
    write_video(folder / "other.mp4")
    twin = again(path, folder / "twin.mp4")
    ids = listed("a", "other", twin)
    facts, (problem,) = probe_videos(ids, folder, PLAYER, 1, 30, fatal=True)
    assert facts["video_id"].tolist() == ["a", "other"]
    assert (problem.video_id, problem.kind, problem.fatal) == (twin, "one video, two ids", False)
    assert problem.message.startswith(f"it is the same video as 'a' ({path.resolve()})")
    split = ids.assign(split=["train", "train", "test"])
    _, (problem,) = probe_videos(split, folder, PLAYER, 1, 30, fatal=False)
    assert problem.fatal
    assert "one is listed for training and the other for evaluation" in problem.message


@pytest.mark.parametrize("ids", [("a", "v_a"), ("v_a", "a")])
@pytest.mark.parametrize("name", ["a.mp4", "v_a.mp4"])
def test_a_prefix_makes_another_video_only_where_there_is_one(
    folder: Path, ids: tuple[str, str], name: str
) -> None:
    write_video(folder / name)
    facts, (problem,) = probe_videos(listed(*ids), folder, PLAYER, 1, 30, fatal=True)
    assert facts["video_id"].tolist() == [ids[0]]
    assert (problem.video_id, problem.kind) == (ids[1], "one video, two ids")
    for each in ("a.mp4", "v_a.mp4"):
        write_video(folder / each)
    facts, problems = probe_videos(listed(*ids), folder, PLAYER, 1, 30, fatal=True)
    assert [Path(path).stem for path in facts["path"]] == list(ids)
    assert problems == []


def test_videos_that_only_begin_alike_are_two(folder: Path) -> None:
    path = write_video(folder / "a.mp4")
    content = path.read_bytes()
    (folder / "b.mp4").write_bytes(content + b"\0\0\0\x08free")
    (folder / "c.mp4").write_bytes(content + b"\0\0\0\x08skip")
    facts, problems = probe_videos(listed("a", "b", "c"), folder, PLAYER, 1, 30, fatal=True)
    assert len(facts) == 3
    assert problems == []


def test_pictures_take_the_rate_of_their_annotations(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (32, 24), (40 * number, 0, 90 * (name == "two"))).save(
                folder / name / f"img_{number}.jpg"
            )
    ids = listed("one", "two").assign(fps=[math.nan, 3.0])
    facts, problems = probe_videos(ids, folder, Timing(picture_rate=2.0), 1, 30, True, tmp_path)
    assert problems == []
    assert facts["duration"].tolist() == [3.0, 2.0]
    again, _ = probe_videos(ids, folder, Timing(picture_rate=1.0), 1, 30, True, tmp_path)
    assert again["duration"].tolist() == [6.0, 2.0]  # known facts were of another clock
    _, (problem,) = probe_videos(ids, folder, PLAYER, 1, 30, fatal=True)
    assert (problem.video_id, problem.kind) == ("one", "unreadable video")
    assert "data.picture_rate" in problem.message


def test_a_decoder_that_hangs_or_dies_costs_one_video(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_probe", hang_on_slow)
    GuardClock(monkeypatch, 5.0, folder.parent / "hangs")
    ids = ["a", "slow", "b", "crash", "c"]
    for name in ids:
        write_video(folder / f"{name}.mp4", seconds=0.5)
    facts, problems = probe_videos(listed(*ids), folder, PLAYER, 1, 5.0, fatal=True)
    assert facts["video_id"].tolist() == ["a", "b", "c"]
    assert [(p.video_id, p.kind, p.fatal) for p in problems] == [
        ("slow", "given up", True),
        ("crash", "given up", True),
    ]
    assert "nothing happened for 5 s" in problems[0].message
    assert "exit code 3" in problems[1].message
    assert "runtime.decode_timeout" in problems[0].advice
