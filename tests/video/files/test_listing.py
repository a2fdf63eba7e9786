"""Which file an id means; none outside the folder, whatever the id or the links say."""

from collections.abc import ItemsView
from pathlib import Path

import pytest
from formats import WRITTEN
from numbered import write_numbered

from tad_blockdrop.video.files.container import open_video
from tad_blockdrop.video.files.listing import (
    VIDEO_FORMATS,
    AmbiguousVideoError,
    Found,
    UnsafeVideoError,
    VideoListing,
    file_name,
    folder_contents,
    list_videos,
)
from tad_blockdrop.video.files.pictures import (
    PictureSeries,
    PicturesError,
    files_of,
    picture_series,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "test").mkdir(parents=True)
    for name in ("a.mp4", "v_b.mkv", "test/c.WEBM", "two.avi", "two.mp4", "-d.e.mp4", "note.txt"):
        (folder / name).touch()
    (tmp_path / "secret.mp4").touch()
    return folder


def found(folder: Path, video_id: str) -> Path:
    match = list_videos(folder).find(video_id)
    assert match is not None
    return match.path


@pytest.mark.parametrize(
    ("video_id", "file"),
    [
        ("a", "a.mp4"),
        ("v_a", "a.mp4"),
        ("a.mp4", "a.mp4"),
        ("b", "v_b.mkv"),
        ("v_b", "v_b.mkv"),
        ("c", "test/c.WEBM"),
        ("test/c", "test/c.WEBM"),
        ("test\\c.WEBM", "test/c.WEBM"),
        ("two", "two.mp4"),
        ("-d.e", "-d.e.mp4"),
    ],
)
def test_an_id_means_its_file(folder: Path, video_id: str, file: str) -> None:
    assert found(folder, video_id) == folder.resolve() / file


def test_a_path_may_begin_with_the_folders_above(tmp_path: Path) -> None:
    """As tables name videos that lie beside them."""
    for name in ("a.mp4", "cam/b.mp4", "videos/c.mp4", "c.mp4"):
        (tmp_path / "data" / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "videos" / name).touch()
    (tmp_path / "films").symlink_to(tmp_path / "data" / "videos")
    for folder, video_id, file in (
        ("data/videos", "videos/a.mp4", "a.mp4"),
        ("data/videos", "data\\videos\\cam\\b", "cam/b.mp4"),
        ("data/videos", "videos/c", "videos/c.mp4"),
        ("films", "films/a", "a.mp4"),
    ):
        match = list_videos(tmp_path / folder).find(video_id)
        assert match == Found(tmp_path / "data" / "videos" / file)
    for video_id in ("other/a.mp4", "videos/b.mp4", "data/a.mp4"):
        assert list_videos(tmp_path / "data" / "videos").find(video_id) is None


@pytest.mark.parametrize("video_id", ["A2", "note", "note.txt", "test", "secret"])
def test_what_is_no_video_is_not_found(folder: Path, video_id: str) -> None:
    assert list_videos(folder).find(video_id) is None


class _Counted(dict[str, list[Path]]):
    """Counts how often it is gone through."""

    times = 0

    def items(self) -> ItemsView[str, list[Path]]:
        self.times += 1
        return super().items()


def test_hints_for_many_missing_videos_go_through_the_names_once(tmp_path: Path) -> None:
    names = _Counted({"Rec": [tmp_path / "Rec.mp4"]})
    videos = VideoListing(tmp_path, names, {}, {tmp_path / "Notes.txt": "it is no video"})
    for _ in range(3):
        assert videos.hint("rec") == " (Rec.mp4 differs in upper and lower case only)"
        assert videos.hint("notes") == " (Notes.txt is passed over: it is no video)"
        assert videos.hint("other") == ""
    assert names.times == 1


def test_a_path_is_one_video_and_a_name_the_only_one(tmp_path: Path) -> None:
    for name in ("cam1/rec.mp4", "cam2/rec.mkv", "cam2/rec.avi", "top.mp4", "cam1/top.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    videos = list_videos(tmp_path)
    with pytest.raises(AmbiguousVideoError, match=r"'rec' may be any of cam1/rec.mp4, cam2/rec"):
        videos.find("rec")
    assert videos.find("cam1/rec") == Found(tmp_path / "cam1/rec.mp4")
    assert videos.find("rec.avi") == Found(tmp_path / "cam2/rec.avi")
    assert videos.find("cam2/rec") == Found(tmp_path / "cam2/rec.mkv", (tmp_path / "cam2/rec.avi",))
    # At the top of the folder a name is a path, but may have been meant otherwise.
    assert videos.find("top") == Found(tmp_path / "top.mp4", (tmp_path / "cam1/top.mp4",))


def test_a_folder_of_numbered_pictures_is_a_video(tmp_path: Path) -> None:
    names = ("take.1/img_00001.jpg", "take.1/img_00002.jpg", "one/img_1.jpg", "thumbs/a.mp4",
             "thumbs/a_1.png", "thumbs/a_2.png", "img_1.jpg", "img_2.jpg")  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    contents = folder_contents(tmp_path)
    assert contents.videos == [tmp_path / "take.1", tmp_path / "thumbs/a.mp4"]
    assert found(tmp_path, "take.1") == tmp_path / "take.1"
    assert {path.name for path in contents.passed_over} == {
        "img_1.jpg", "img_2.jpg", "a_1.png", "a_2.png"
    }  # fmt: skip
    assert (tmp_path / "one/img_1.jpg") in contents.passed_over


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["img_00099.jpg", "img_00100.jpg", "img_00101.jpg"], ("img_%05d.jpg", 99, 3)),
        (["9.png", "10.png"], ("%d.png", 9, 2)),
        (["cam2_98%_1.JPG", "cam2_98%_2.JPG", "notes.txt"], ("cam2_98%%_%01d.JPG", 1, 2)),
        (["99998.bmp", "99999.bmp", "100000.bmp"], ("%d.bmp", 99998, 3)),
    ],
)
def test_pictures_are_numbered_in_every_way(
    tmp_path: Path, names: list[str], series: tuple[str, int, int]
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"a picture")
    assert picture_series(tmp_path) == PictureSeries(*series)
    pictures = sorted(name for name in names if name != "notes.txt")
    assert [path.name for path in files_of(tmp_path)] == pictures


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.jpg", "b.jpg"], "without numbered pictures"),
        (["img_1.jpg", "img_2.jpg", "flow_1.jpg", "flow_2.jpg"], "flow_%01d.jpg and img_%01d.jpg"),
        (["img_1.jpg", "img_3.jpg"], "img_%01d.jpg number 2 is missing"),
        (["img_1.jpg", "img_01.jpg"], "a number is there twice"),
        (["img_01.jpg", "img_02.jpg", "img_3.jpg"], "as img_3.jpg and img_01.jpg"),
        (["img_1.jpg", "img_2.jpg"], "img_1.jpg is an empty file"),
    ],
)
def test_pictures_that_are_no_video_are_refused(
    tmp_path: Path, names: list[str], reason: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(PicturesError, match=reason):
        picture_series(tmp_path)


@pytest.mark.parametrize(
    ("video_id", "name"),
    [("a", "a.mp4"), ("cam1/a", "cam1%2Fa.mp4"), ("50%", "50%25.mp4"), ("a\\b", "a%5Cb.mp4")],
)
def test_files_about_a_video_are_named_after_it(video_id: str, name: str) -> None:
    assert file_name(video_id, ".mp4") == name


@pytest.mark.parametrize(
    "video_id",
    ["../secret", "..", ".", "", " ", "/etc/passwd", "a\\..\\b", "a//b", "a\0", "a\nb", "x" * 300],
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
    assert found(folder, "inside") == folder.resolve() / "inside.mp4"


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(folder)
    assert found(tmp_path / "data", "a") == folder.resolve() / "a.mp4"


def test_half_written_files_are_not_videos(folder: Path) -> None:
    (folder / ".a.1234.tmp.mp4").touch()
    assert found(folder, "a") == folder.resolve() / "a.mp4"
    assert all(not name.startswith(".") for name in list_videos(folder).by_name)


@pytest.mark.parametrize("format_name", WRITTEN)
def test_a_file_with_the_ending_of_a_video_can_be_opened(tmp_path: Path, format_name: str) -> None:
    """The endings that are listed and the formats that may be opened are the same."""
    endings = [ending for ending, known in VIDEO_FORMATS.items() if known == format_name]
    path = write_numbered(tmp_path / f"a{endings[0]}", 8, **WRITTEN[format_name])
    with open_video(path) as (opened, stream):
        assert format_name in opened.format.name.split(",")
        assert next(opened.decode(stream)).width
    for ending in endings:
        path.rename(path := path.with_suffix(ending.upper()))
        assert found(tmp_path, "a") == path.resolve()


def test_every_format_that_is_listed_is_written_above() -> None:
    assert set(VIDEO_FORMATS.values()) == set(WRITTEN)
