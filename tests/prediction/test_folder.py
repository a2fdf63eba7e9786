"""Which files are taken from a path, and their names."""

import pytest

from tad_blockdrop.prediction.folder import VideosError, find_videos


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_for_videos_only(tmp_path):
    touch(tmp_path, "b.MP4", "a.webm", "deep/er/c.mkv", "notes.txt", ".hidden.mp4", ".x/d.mp4")
    assert list(find_videos(tmp_path)) == ["a", "b", "c"]
    assert find_videos(str(tmp_path))["c"] == tmp_path / "deep/er/c.mkv"


def test_names_that_two_share_become_paths(tmp_path):
    touch(tmp_path, "a.mp4", "a.mkv", "x/b.mp4", "y/b.mp4", "z.mp4")
    assert list(find_videos(tmp_path)) == ["a.mkv", "a.mp4", "x_b.mp4", "y_b.mp4", "z"]


def test_a_file_may_have_any_name(tmp_path):
    touch(tmp_path, "take 1, final=yes: 50%.bin")
    file = tmp_path / "take 1, final=yes: 50%.bin"
    assert find_videos(file) == {"take 1, final=yes: 50%": file}


def test_nothing_there_is_an_error_that_helps(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(VideosError, match=r"holds no videos \(files ending in .*\.mp4"):
        find_videos(tmp_path)
    with pytest.raises(VideosError, match="no file or folder"):
        find_videos(tmp_path / "nowhere")
