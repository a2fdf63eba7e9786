"""Opening files that are no videos, and pixels the right way up."""

from pathlib import Path

import av
import numpy as np
import pytest
from numbered import HEIGHT, WIDTH, number_of, picture, write_numbered

from tad_blockdrop.video.files import container
from tad_blockdrop.video.files.container import (
    UNFINISHED,
    DecodeError,
    display_size,
    open_video,
    upright,
)


def refusal(path: Path) -> str:
    with pytest.raises(DecodeError) as caught, open_video(path) as (container, stream):
        list(container.decode(stream))
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value.reason


def test_each_kind_of_no_video_has_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all" * 100)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 8192, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert refusal(tmp_path / "gone.mp4") == "there is no such file"
    assert "without numbered pictures" in refusal(tmp_path)
    assert refusal(tmp_path / "empty.mp4") == "the file is empty (0 bytes)"
    assert refusal(tmp_path / "text.mp4") == "it is not a video"
    assert refusal(tmp_path / "sound.mp4") == "it holds no video stream"


@pytest.mark.parametrize(("kept", "zeros"), [(40, 0), (0.5, 0), (0.5, 5000)])
def test_an_mp4_without_its_index_is_not_complete(tmp_path: Path, kept: float, zeros: int) -> None:
    """As while it is copied: a part of it, with or without room for the rest."""
    file = write_numbered(tmp_path / "a.mp4", 50)
    whole = file.read_bytes()
    count = int(kept if kept > 1 else kept * len(whole))
    file.write_bytes(whole[:count] + bytes(zeros))
    assert refusal(file) == UNFINISHED


def test_a_cut_index_is_not_complete_and_one_of_nonsense_no_video(tmp_path: Path) -> None:
    file = write_numbered(tmp_path / "a.mp4", 50)
    whole = file.read_bytes()
    at = whole.rindex(b"moov")
    for more in (20, 400, 600):
        file.write_bytes(whole[: at + more])
        assert refusal(file) == UNFINISHED
    file.write_bytes(whole[: at + 4] + bytes([255]) * (len(whole) - at - 4))
    assert refusal(file) == "it holds no video stream"


def test_a_frame_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_numbered(tmp_path / "a.mp4", 3)
    with open_video(video) as (opened, stream):
        assert len(list(opened.decode(stream))) == 3
    monkeypatch.setattr(container, "MOST_PIXELS", WIDTH * HEIGHT - 1)
    assert refusal(video).startswith("it is damaged (")


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile other.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_file_cannot_send_the_reader_to_another_one(tmp_path: Path, playlist: str) -> None:
    write_numbered(tmp_path / "other.ts", 10)
    list_ = tmp_path / "video.mp4"
    list_.write_text(playlist)
    assert "not a video" in refusal(list_)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_pixels_are_upright(tmp_path: Path, turn: int, mirror: bool) -> None:
    path, options = tmp_path / "turned.mp4", {"crf": "4"}
    video = write_numbered(path, 3, rotation=turn, mirror=mirror, options=options)
    wanted = np.rot90(picture(2), k=turn // 90)
    if mirror:
        wanted = wanted[:, ::-1]
    with open_video(video) as (container, stream):
        frame = list(container.decode(stream))[2]
    assert display_size(frame) == wanted.shape[:2]
    found = upright(frame).astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() < 4


def test_shrinking_keeps_number_and_brightness(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "large.mp4", 6, size=(4 * HEIGHT, 4 * WIDTH))
    with open_video(video) as (container, stream):
        frame = list(container.decode(stream))[5]
    small = upright(frame, (HEIGHT, WIDTH))
    assert small.shape == (HEIGHT, WIDTH, 3)
    assert number_of(small) == 5
    assert abs(small.mean() - upright(frame).mean()) < 2
