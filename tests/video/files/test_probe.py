"""What probing finds, against what the videos were made with."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from copied import with_second
from numbered import numbers, write_numbered

from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.probe import probe, timeline

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "mov"])
@pytest.mark.parametrize("fps", [24, 25, NTSC, 30, 50, 2 * NTSC])
def test_rate_length_and_size(tmp_path: Path, suffix: str, fps: Fraction | int) -> None:
    facts = probe(write_numbered(tmp_path / f"video.{suffix}", 31, fps))
    assert (facts.n_frames, facts.variable_rate) == (31, False)
    assert facts.fps == pytest.approx(float(fps), rel=1e-4)
    assert facts.duration == pytest.approx(31 / float(fps), rel=1e-4)
    assert (facts.height, facts.width, facts.rotation) == (48, 96, 0)
    assert facts.codec == "h264"


@pytest.mark.parametrize(
    ("name", "codec", "told"),
    [
        ("a.mp4", "libx265", "hevc"),
        ("a.webm", "libvpx", "vp8"),
        ("a.webm", "libvpx-vp9", "vp9"),
        ("a.avi", "mpeg4", "mpeg4"),
        ("a.mpg", "mpeg2video", "mpeg2video"),
        ("a.ts", "libx264", "h264"),
        ("a.flv", "libx264", "h264"),
        ("a.mkv", "libsvtav1", "av1"),
    ],
)
def test_other_formats(tmp_path: Path, name: str, codec: str, told: str) -> None:
    quick = {"g": "12"}
    if codec == "libx265":
        quick = {"x265-params": "log-level=none"}
    if codec.startswith("libvpx"):
        quick = {"deadline": "realtime", "cpu-used": "8"}
    size = (64, 128) if codec == "libsvtav1" else (48, 96)
    facts = probe(write_numbered(tmp_path / name, 30, 25, codec, quick, size))
    assert (facts.n_frames, facts.fps, facts.codec) == (30, 25.0, told)
    assert (facts.height, facts.width) == size


@pytest.mark.parametrize("size", [(33, 51), (48, 50), (2, 2), (16, 500)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    facts = probe(write_numbered(tmp_path / "odd.mkv", 4, size=size))
    assert (facts.height, facts.width, facts.n_frames) == (*size, 4)


@pytest.mark.parametrize(("turn", "size"), [(90, (96, 48)), (180, (48, 96)), (270, (96, 48))])
def test_size_is_that_shown(tmp_path: Path, turn: int, size: tuple[int, int]) -> None:
    facts = probe(write_numbered(tmp_path / "turned.mp4", 4, rotation=turn))
    assert (facts.rotation, facts.height, facts.width) == (turn, *size)


@pytest.mark.parametrize(
    ("shape", "turn", "size"),
    [
        ("2/1", 0, (48, 192)),
        ("1/2", 0, (48, 48)),
        ("64/45", 0, (48, 137)),
        ("2/1", 90, (192, 48)),
        ("1000/1", 0, (48, 96)),  # nobody's pixels: a damaged header
    ],
)
def test_size_is_that_of_square_pixels(
    tmp_path: Path, shape: str, turn: int, size: tuple[int, int]
) -> None:
    video = write_numbered(tmp_path / "wide.mp4", 4, rotation=turn, shape=Fraction(shape))
    facts = probe(video)
    assert (facts.height, facts.width) == size
    assert read_frames(video, [3]).shape == (1, *size, 3)
    if not turn and size[1] > 48:
        assert numbers(read_frames(video, [3, 1])) == [3, 1]


def test_every_frame_keeps_the_shape_of_its_pixels(tmp_path: Path) -> None:
    """Also after those before it are gone."""
    video = write_numbered(tmp_path / "wide.mp4", 30, options={"bf": "0"}, shape=Fraction(2))
    assert {read_frames(video, [number]).shape[1:3] for number in (0, 1, 17)} == {(48, 192)}


def test_a_single_frame(tmp_path: Path) -> None:
    facts = probe(write_numbered(tmp_path / "one.mp4", 1, 25))
    assert (facts.n_frames, facts.fps, facts.duration) == (1, 25.0, 0.04)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_variable_rate_is_told_by_timestamps(tmp_path: Path, suffix: str) -> None:
    shown = [0, 40, 80, 500, 540, 900, 1000, 1040]
    codec = "libvpx" if suffix == "webm" else "libx264"
    video = write_numbered(tmp_path / f"v.{suffix}", 8, codec=codec, milliseconds=shown)
    facts, line = probe(video), timeline(video)
    assert facts.variable_rate
    assert facts.n_frames == 8
    assert np.allclose(line.times, np.array(shown) / 1000, atol=1e-3)
    assert facts.duration == pytest.approx(1.08, abs=0.05)
    assert facts.fps == pytest.approx(facts.n_frames / facts.duration)


def test_a_slow_file_is_not_truncated(tmp_path: Path) -> None:
    """While it is read through, a Matroska file's start moves by some frames."""
    facts = probe(write_numbered(tmp_path / "slow.mkv", 8, 1, options={"bf": "0"}))
    assert (facts.n_frames, facts.fps, facts.start, facts.duration) == (8, 1.0, 0.0, 8.0)


def test_one_of_several_videos_in_a_file_is_told(tmp_path: Path) -> None:
    video = with_second(write_numbered(tmp_path / "a.mp4", 10), tmp_path / "two.mkv")
    facts = probe(video)
    assert facts.n_frames == 10
    assert "it holds 2 videos, of which a player may show another: number 1" in facts.note
    cover = with_second(tmp_path / "a.mp4", tmp_path / "cover.mp4", cover=True)
    assert probe(cover).note == ""


def test_a_dropped_frame_makes_the_rate_variable(tmp_path: Path) -> None:
    shown = [40 * n for n in range(20) if n != 7]
    facts = probe(write_numbered(tmp_path / "gap.mp4", 19, milliseconds=shown))
    assert facts.variable_rate
    assert facts.duration == pytest.approx(0.8, abs=0.005)


def test_frames_that_cannot_be_decoded_do_not_count(tmp_path: Path) -> None:
    """A recording that begins between two key frames shows nothing before the second."""
    options = {"bf": "0", "x264-params": "keyint=12:min-keyint=12:scenecut=0"}
    whole = write_numbered(tmp_path / "whole.mkv", 40, 25, options=options)
    late = tmp_path / "late.mkv"
    with av.open(str(whole)) as source, av.open(str(late), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= 5:
                packet.stream = copy
                target.mux(packet)
    facts = probe(late)
    assert numbers(read_frames(late, range(facts.n_frames))) == list(range(12, 40))
    assert numbers(read_frames(late, [20])) == [32]
    assert facts.start == pytest.approx(7 / 25)  # the file begins with frame 5


def test_rounded_timestamps_are_a_constant_rate(tmp_path: Path) -> None:
    """As Matroska writes 60 frames per second: 0, 17, 33, 50 ms."""
    shown = [round(1000 * n / 60) for n in range(120)]
    facts = probe(write_numbered(tmp_path / "v.mkv", 120, 60, milliseconds=shown))
    assert not facts.variable_rate
    assert facts.fps == pytest.approx(60, rel=1e-3)


def test_frames_before_an_edit_lists_cut_do_not_count(tmp_path: Path) -> None:
    """A trim without encoding: the file keeps ten frames that players do not show."""
    whole = write_numbered(tmp_path / "whole.mp4", 40, 25)
    cut = tmp_path / "cut.mp4"
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(whole)) as source, av.open(str(cut), "w", options=options) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size and packet.pts is not None and packet.dts is not None:
                early = int(10 / 25 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - early, packet.dts - early, copy
                target.mux(packet)
    facts = probe(cut)
    assert (facts.n_frames, facts.start) == (30, 0.0)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "avi"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx" if suffix == "webm" else "libx264"
    video = write_numbered(tmp_path / f"cut.{suffix}", 150, codec=codec)
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        probe(video)


def test_a_truncated_mp4_is_refused(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "cut.mp4", 150)
    quick = tmp_path / "quick.mp4"  # with the index in front, a cut loses frames only
    with (
        av.open(str(video)) as source,
        av.open(str(quick), "w", options={"movflags": "faststart"}) as target,
    ):
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    for file, reason in ((video, "it is not complete"), (quick, "truncated: ")):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(DecodeError, match=reason):
            probe(file)


def test_damage_inside_is_found_at_the_end(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "hurt.mp4", 60, options={"g": "250"})
    content = bytearray(video.read_bytes())
    start = content.index(b"mdat") + 1200
    content[start : start + 600] = b"\xff" * 600
    video.write_bytes(content)
    with pytest.raises(DecodeError):
        probe(video)
