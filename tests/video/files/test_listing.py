"""Which file an id means; none outside the folder, whatever the id or the links say."""

from pathlib import Path

import av
import numpy as np
import pytest

from tad_blockdrop.video.files.container import open_video
from tad_blockdrop.video.files.listing import VIDEO_FORMATS, UnsafeVideoError, list_videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "test").mkdir(parents=True)
    for name in ("a.mp4", "v_b.mkv", "test/c.WEBM", "two.avi", "two.mp4", "-d.e.mp4", "note.txt"):
        (folder / name).touch()
    (tmp_path / "secret.mp4").touch()
    return folder


@pytest.mark.parametrize(
    ("video_id", "file"),
    [
        ("a", "a.mp4"),
        ("v_a", "a.mp4"),
        ("a.mp4", "a.mp4"),
        ("b", "v_b.mkv"),
        ("v_b", "v_b.mkv"),
        ("c", "test/c.WEBM"),
        ("two", "two.mp4"),
        ("-d.e", "-d.e.mp4"),
    ],
)
def test_an_id_means_its_file(folder: Path, video_id: str, file: str) -> None:
    assert list_videos(folder).find(video_id) == folder.resolve() / file


@pytest.mark.parametrize("video_id", ["A2", "note", "note.txt", "test", "secret"])
def test_what_is_no_video_is_not_found(folder: Path, video_id: str) -> None:
    assert list_videos(folder).find(video_id) is None


@pytest.mark.parametrize(
    "video_id",
    ["../secret", "..", ".", "", " ", "/etc/passwd", "test/c", "a\\b", "a\0", "a\nb", "x" * 300],
)
def test_ids_that_lead_elsewhere_are_refused(folder: Path, video_id: str) -> None:
    with pytest.raises(UnsafeVideoError, match="cannot be a file name"):
        list_videos(folder).find(video_id)


def test_links_that_lead_elsewhere_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "inside.mp4").symlink_to(folder / "a.mp4")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(UnsafeVideoError, match="outside"):
        list_videos(folder).find("link")
    assert list_videos(folder).find("secret") is None
    assert list_videos(folder).find("inside") == folder.resolve() / "inside.mp4"


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(folder)
    assert list_videos(tmp_path / "data").find("a") == folder.resolve() / "a.mp4"


def test_half_written_files_are_not_videos(folder: Path) -> None:
    (folder / ".a.1234.tmp.mp4").touch()
    assert list_videos(folder).find("a") == folder.resolve() / "a.mp4"
    assert all(not name.startswith(".") for name in list_videos(folder).by_name)


@pytest.mark.parametrize("suffix", VIDEO_FORMATS)
def test_a_file_with_the_ending_of_a_video_can_be_opened(tmp_path: Path, suffix: str) -> None:
    """The endings that are listed and the formats that may be opened are the same."""
    path = tmp_path / f"a{suffix}"
    codec = {".flv": "flv1", ".ogv": "libvpx", ".webm": "libvpx"}.get(suffix, "mpeg4")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(25):
            pixels = np.random.default_rng(number).integers(256, size=(32, 32, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    assert list_videos(tmp_path).find("a") == path.resolve()
    with open_video(path) as (opened, _):
        assert VIDEO_FORMATS[suffix] in opened.format.name.split(",")
