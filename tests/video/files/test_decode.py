"""Random access: every frame asked for is the one that comes, whatever the encoder did."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered import numbers, write_numbered, write_photos
from PIL import Image, ImageOps

from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.video.files import decode
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.decode import frames_at, numbered_frames, read_frames
from tad_blockdrop.video.files.proxies import write_proxy
from tad_blockdrop.video.files.sampling import Sampling

FRAMES = 100
ASKED = [99, 0, 37, 36, 36, 11, 12, 13, 98, 50]

# Each of these makes a reader that trusts packets or key frames return neighbours.
TRAPS = {
    "plain.mp4": ("libx264", {"g": "12"}),
    "open.mp4": ("libx264", {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=12"}),
    "refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=12"}),
    "packed.avi": ("libx264", {"g": "12"}),
    "stream.ts": ("libx264", {"g": "12"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=12:log-level=none"}),
    "b.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "b.mp4": ("mpeg4", {"g": "12", "bf": "2"}),
    "hidden.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}),
    "vp9.webm": ("libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
}


@pytest.mark.parametrize("name", TRAPS)
def test_frames_are_those_asked_for(tmp_path: Path, name: str) -> None:
    codec, options = TRAPS[name]
    video = write_numbered(tmp_path / name, FRAMES, 25, codec, options)
    frames = read_frames(video, ASKED)
    assert frames.dtype == np.uint8
    assert frames.shape == (len(ASKED), 48, 96, 3)
    assert numbers(frames) == ASKED
    for single in (1, 12, 23, 24, 60, 97, 99):
        assert numbers(read_frames(video, [single])) == [single]


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_time_stamps_in_the_order_of_decoding_find_no_frames(tmp_path: Path, name: str) -> None:
    """As some programs write B-frames."""
    source = write_numbered(tmp_path / "a.mp4", 40, options={"bf": "2", "g": "12"})
    with av.open(str(source)) as read, av.open(str(tmp_path / name), "w") as written:
        copy = written.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(read.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = number
                packet.time_base, packet.stream = Fraction(1, 25), copy
                written.mux(packet)
    for asked in ([1, 10, 12], [7], [39]):
        assert numbers(read_frames(tmp_path / name, asked)) == asked


def test_variable_rate(tmp_path: Path) -> None:
    shown = list(np.cumsum(np.random.default_rng(0).integers(20, 90, 60)))
    video = write_numbered(tmp_path / "v.mkv", 60, milliseconds=[int(t) for t in shown])
    assert numbers(read_frames(video, [59, 30, 31, 0])) == [59, 30, 31, 0]


@pytest.mark.parametrize("store", ["h264", "jpeg"])
@pytest.mark.parametrize("gop", [1, 7, 16])
def test_frames_of_a_proxy_are_those_asked_for(tmp_path: Path, store: str, gop: int) -> None:
    proxy = write(tmp_path, FRAMES, store, gop=gop)
    assert numbers(read_frames(proxy, ASKED)) == ASKED
    assert numbers(read_frames(proxy, range(FRAMES))) == list(range(FRAMES))
    for single in (0, 1, 15, 16, 98, 99):
        assert numbers(read_frames(proxy, [single])) == [single]


def test_of_proxies_only_what_is_shown_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_numbered(tmp_path / "source.mp4", 50)
    monkeypatch.setattr(decode, "frames_at", lambda path, indices: pytest.fail("from the start"))
    for store in ("h264", "jpeg"):
        with monkeypatch.context() as patch:
            proxy = write(tmp_path, 50, store)
            patch.setattr(decode, "read_packets", lambda *args: pytest.fail("all packets"))
            assert numbers(read_frames(proxy, [49])) == [49]
    assert numbers(read_frames(source, [49])) == [49]


def test_beyond_the_end_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mp4", 20)
    proxies = [write(tmp_path, 20, store) for store in ("h264", "jpeg")]
    for video in (source, *proxies):
        with pytest.raises(DecodeError, match=f"{video.name}: frame 20 .*cannot be decoded"):
            read_frames(video, [0, 20])


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_damage_in_a_jpeg_proxy_is_told(tmp_path: Path, place: float) -> None:
    proxy = write(tmp_path, 20, "jpeg")
    content = bytearray(proxy.read_bytes())
    end = content.index(b"moov")
    first = round(place * end)
    content[first : first + 3000] = bytes(len(content[first : first + 3000]))
    proxy.write_bytes(content)
    with pytest.raises(DecodeError, match=f"{proxy.name}: "):
        read_frames(proxy, range(20))


@pytest.mark.parametrize("indices", [[], [-1], [[0, 1]]])
def test_senseless_indices_are_refused(tmp_path: Path, indices: list[int]) -> None:
    video = write_numbered(tmp_path / "source.mp4", 5)
    with pytest.raises(ValueError, match="frame indices"):
        read_frames(video, indices)


def test_one_pass_repeats_frames_where_asked(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "source.mp4", 10)
    stamps = [frame.pts for frame in frames_at(video, np.array([2, 2, 2, 9]))]
    assert stamps[0] == stamps[2] != stamps[3]


def test_a_lost_frame_does_not_pass_for_its_neighbour(tmp_path: Path) -> None:
    """Were frame 4 undecodable, its timestamp would not come; here it never was there."""
    video = write_numbered(
        tmp_path / "v.mkv", 9, milliseconds=[0, 40, 80, 120, *range(200, 400, 40)]
    )
    stamps = np.arange(10) * 40
    assert len(list(frames_at(video, np.array([0, 3, 5, 9]), stamps))) == 4
    with pytest.raises(DecodeError, match="frame 4 "):
        list(frames_at(video, np.array([0, 4, 9]), stamps))


def test_frames_after_lost_ones_are_not_shifted(tmp_path: Path) -> None:
    """Of a group of pictures without the packets after its first, nothing can be decoded."""
    gop = "keyint=12:min-keyint=12:bframes=4:scenecut=0:log-level=none"
    source = write_numbered(tmp_path / "a.mp4", 60, 25, "libx265", {"x265-params": gop})
    with av.open(str(source)) as read, av.open(str(tmp_path / "b.mp4"), "w") as written:
        copy = written.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        third = [number for number, packet in enumerate(packets) if packet.is_keyframe][2]
        for packet in packets[: third + 1] + packets[third + 3 :]:
            packet.stream = copy
            written.mux(packet)
    with pytest.raises(DecodeError, match="cannot be decoded: the file is damaged"):
        read_frames(tmp_path / "b.mp4", range(20, 34))
    assert numbers(read_frames(tmp_path / "b.mp4", [0, 12, 50])) == [0, 12, 52]


@pytest.mark.parametrize("store", ["h264", "jpeg"])
def test_the_file_is_released(tmp_path: Path, store: str) -> None:
    proxy = write(tmp_path, 20, store)
    before = _open_files()
    for _ in range(20):
        read_frames(proxy, [0, 19])
    assert _open_files() == before


def write(folder: Path, frames: int, store: str, **config: object) -> Path:
    """A proxy of a numbered video."""
    source = write_numbered(folder / "source.mp4", frames)
    proxy = folder / f"{store}.mp4"
    settings = ProxyConfig.model_validate({"store": store, **config})
    write_proxy(source, proxy, Sampling(every=1), settings)
    return proxy


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("open files cannot be counted on this system")
    return len(list(folder.iterdir()))


def _raw(folder: Path, width: int, height: int) -> bytes:
    """Ten frames of H.264 without a container, which can be put one behind the other."""
    file = folder / f"{width}.h264"
    with av.open(str(file), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(10):
            picture = np.full((height, width, 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_and_mirrored_as_their_exif_data_say(
    tmp_path: Path, orientation: int
) -> None:
    folder = write_photos(tmp_path, [orientation] * 2)
    wanted = ImageOps.exif_transpose(Image.open(folder / "img_2.png")).convert("RGB")
    np.testing.assert_array_equal(read_frames(folder, [1])[0], np.asarray(wanted))


def test_pictures_that_are_turned_to_another_shape_are_told(tmp_path: Path) -> None:
    assert sum(1 for _ in numbered_frames(write_photos(tmp_path / "a", [6, 8]))) == 2
    with pytest.raises(DecodeError, match="frame 1 is a picture of 48 x 96 pixels"):
        list(numbered_frames(write_photos(tmp_path / "b", [1, 6])))


def test_a_picture_that_changes_its_shape_is_told(tmp_path: Path) -> None:
    video = tmp_path / "two.h264"
    video.write_bytes(_raw(tmp_path, 64, 48) + _raw(tmp_path, 128, 96))
    assert sum(1 for _ in numbered_frames(video)) == 20
    video.write_bytes(_raw(tmp_path, 64, 48) + _raw(tmp_path, 96, 48))
    said = "frame 10 is a picture of 96 x 48 pixels, the first one of 64 x 48: cut the video"
    with pytest.raises(DecodeError, match=said):
        list(numbered_frames(video))
