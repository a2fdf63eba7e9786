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
    assert list(find_videos(tmp_path)) == ["a.mkv", "a.mp4", "x/b.mp4", "y/b.mp4", "z"]


def test_names_are_in_one_unicode_form(tmp_path):
    touch(tmp_path, "cafe\u0301.mp4")
    assert list(find_videos(tmp_path)) == ["caf\u00e9"]


def test_what_is_passed_over_is_named_with_the_reason(tmp_path, caplog):
    touch(tmp_path, "a.mp4", "b.pdf", "c.pdf", "sub/d.jpg")
    find_videos(tmp_path)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"passed over in {tmp_path}: b.pdf, c.pdf: '.pdf' is not the ending of a video",
        f"passed over in {tmp_path}: sub/d.jpg: it is a picture; numbered ones (img_00001.jpg, "
        "...) in a folder are a video",
    ]


def test_a_folder_of_numbered_pictures_is_one_video(tmp_path, caplog):
    touch(tmp_path, "take.2/img_01.jpg", "take.2/img_02.jpg", "a.m2ts", "b.mxf")
    assert find_videos(tmp_path / "take.2") == {"take.2": tmp_path / "take.2"}
    assert list(find_videos(tmp_path)) == ["a", "b", "take.2"]
    assert not caplog.records


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
