"""What the seconds of a video count from, and what is believed where a file contradicts itself."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from copied import copy_video, with_sound
from numbered import numbers, write_numbered
from PIL import Image

from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.video.files.clock import ClockError, Header, Timing, build_timeline
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.probe import probe, timeline
from tad_blockdrop.video.files.proxies import write_proxy
from tad_blockdrop.video.files.sampling import Sampling

NTSC = Fraction(30000, 1001)
FRAMES = Timing(clock="frames")
QUIET = {"x265-params": "log-level=none"}


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """Sound from second 0, twenty frames at 10 a second from second 1.5 on."""
    picture = write_numbered(tmp_path / "picture.mp4", 20, 10)
    return with_sound(picture, tmp_path / "late.mov", 1.5, 3.5)


def test_zero_is_the_earliest_stream(late: Path) -> None:
    facts = probe(late)
    assert facts.start == pytest.approx(1.5)
    assert facts.duration == pytest.approx(3.5)
    assert (facts.n_frames, facts.fps, facts.variable_rate) == (20, 10.0, False)
    assert timeline(late).times == pytest.approx(1.5 + np.arange(20) / 10)


def test_the_other_clock_counts_frames_from_the_first(late: Path) -> None:
    facts = probe(late, FRAMES)
    assert (facts.start, facts.duration, facts.fps) == (0.0, 2.0, 10.0)


@pytest.mark.parametrize("sampling", [Sampling(every=2), Sampling(fps=5)])
def test_samples_before_the_picture_hold_its_first_frame(
    late: Path, tmp_path: Path, sampling: Sampling
) -> None:
    facts = write_proxy(late, tmp_path / "proxy.mp4", sampling, ProxyConfig())
    shown = numbers(read_frames(tmp_path / "proxy.mp4", np.arange(facts["n_samples"])))
    assert shown == [0] * 8 + list(range(1, 20, 2))  # sample i at second i / 5, frame 1 at 1.6
    counted = write_proxy(late, tmp_path / "proxy.mp4", sampling, ProxyConfig(), FRAMES)
    assert counted["n_samples"] == 10


def test_less_than_half_a_frame_moves_no_sample(tmp_path: Path) -> None:
    """As sound begins a little earlier in very many files: 21 ms of AAC."""
    picture = write_numbered(tmp_path / "picture.mp4", 20, 10)
    video = with_sound(picture, tmp_path / "late.mov", 0.021, 2)
    facts = write_proxy(video, tmp_path / "proxy.mp4", Sampling(every=2), ProxyConfig())
    assert probe(video).start == pytest.approx(0.021, abs=1e-3)
    assert numbers(read_frames(tmp_path / "proxy.mp4", np.arange(10))) == list(range(0, 20, 2))
    assert facts["n_samples"] == 10


@pytest.mark.parametrize("ending", [".ts", ".asf", ".nut", ".avi", ".mkv"])
def test_a_clock_that_starts_anywhere_is_set_to_zero(tmp_path: Path, ending: str) -> None:
    """Several formats count from where the first frame is decoded, and mean nothing by it."""
    video = write_numbered(tmp_path / f"a{ending}", 20, 25, "libx264", {"bf": "2"})
    assert (probe(video).start, probe(video).duration) == (0.0, pytest.approx(0.8))


@pytest.mark.parametrize("options", [{"g": "12"}, {"bf": "2"}])
def test_gxf_numbers_fields_as_they_are_decoded(tmp_path: Path, options: dict[str, str]) -> None:
    path, size = tmp_path / "a.gxf", (576, 720)
    facts = probe(write_numbered(path, 20, 25, "mpeg2video", options, size))
    assert (facts.fps, facts.start, facts.duration) == (25.0, 0.0, pytest.approx(0.8))
    assert not facts.variable_rate


def test_empty_slots_before_the_picture_of_an_avi_are_its_start(tmp_path: Path) -> None:
    """As ffmpeg writes a picture that is copied to start after its sound."""
    said = header(tick=0.01, first=0, duration=2.12)
    line = build_timeline([9] * 4, [158, 162, None, None], 1, said)
    assert line.times == pytest.approx([1.58, 1.62, 1.66, 1.70])
    plain = build_timeline([9] * 4, [8, 12, None, None], 1, said)
    assert plain.times == pytest.approx([0.0, 0.04, 0.08, 0.12])


@pytest.mark.parametrize("fps", [15, 24, 25, NTSC, 30, 60])
def test_h264_copied_into_avi_keeps_its_times(tmp_path: Path, fps: Fraction | int) -> None:
    """AVI has one rate and a slot for each frame; the header's rate is that of the slots."""
    source = write_numbered(tmp_path / "a.mp4", 50, fps, options={"bf": "2", "g": "12"})
    copy = copy_video(source, tmp_path / "a.avi", "h264_mp4toannexb")
    facts = probe(copy)
    assert (facts.n_frames, facts.start, facts.variable_rate) == (50, 0.0, False)
    assert facts.fps == pytest.approx(float(fps), rel=1e-3)
    assert facts.duration == pytest.approx(50 / float(fps), rel=1e-3)
    assert "average rate" in facts.note
    assert "are believed" in facts.note


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("mpeg4", {}),
        ("mpeg4", {"bf": "2"}),
        ("mjpeg", {}),
        ("libx264", {"bf": "0"}),
        ("libx264", {"bf": "3"}),
    ],
)
def test_frames_that_a_camera_dropped_stay_holes(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    lost = {7, 20, 21, 22, 23, 24, 41}
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    video = write_numbered(
        tmp_path / "a.avi", 50, 25, codec, {"g": "12"} | options, lost=lost, pixels=pixels
    )
    line = timeline(video)
    there = [number for number in range(50) if number not in lost]
    assert line.times == pytest.approx(np.array(there) / 25)
    assert (line.variable_rate, line.duration) == (True, pytest.approx(2.0))
    assert numbers(read_frames(video, np.arange(len(there)))) == there
    assert "are believed" in line.note


@pytest.mark.parametrize("fps", [24, 25, NTSC, 30, 60])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.h264", "libx264", {"bf": "2"}),
        ("a.hevc", "libx265", QUIET),
        ("a.m2v", "mpeg2video", {}),
    ],
)
def test_a_bare_stream_has_the_rate_of_its_own_header(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], fps: Fraction | int
) -> None:
    muxer = "mpeg2video" if codec == "mpeg2video" else None
    facts = probe(write_numbered(tmp_path / name, 30, fps, codec, options, muxer=muxer))
    assert facts.fps == pytest.approx(float(fps), rel=1e-4)
    assert facts.duration == pytest.approx(30 / float(fps), rel=1e-4)
    assert facts.note.startswith("a bare stream has no time stamps")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.hevc", "libx265", {"x265-params": "log-level=none:vui-timing-info=0"}),
        ("a.mjpeg", "mjpeg", {}),
    ],
)
def test_a_bare_stream_without_a_rate_is_refused_with_the_way_out(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    video = write_numbered(tmp_path / name, 10, 30, codec, options, pixels=pixels)
    with pytest.raises(DecodeError, match="nothing in it says when its frames are shown") as error:
        probe(video)
    assert f'ffmpeg -r 25 -i "{name}" -crf 16 "a.mp4"' in str(error.value)


def header(**changes: object) -> Header:
    values = {"kind": "avi", "rates": {"average rate": 25.0, "guessed rate": 25.0}, "tick": 0.04}
    return Header(**(values | changes))  # type: ignore[arg-type]


def test_a_dropped_frame_shows_on_a_coarse_clock_too() -> None:
    """Whose clock ticks once a frame: one tick is no rounding there."""
    line = build_timeline([0, 1, 2, 4, 5], [], 1, header(kind="mov"))
    assert line.variable_rate
    assert line.times.tolist() == [0.0, 0.04, 0.08, 0.16, 0.2]
    assert line.duration == pytest.approx(0.24)


UNUSABLE = [0, 2, 1, None, 3, 4]


@pytest.mark.parametrize(
    ("rates", "duration", "believed"),
    [
        ({"average rate": 50.0, "guessed rate": 25.0}, 0.24, 25.0),
        ({"average rate": 25.0, "guessed rate": 50.0}, 0.24, 25.0),
        ({"average rate": 25.0, "guessed rate": 25.0}, None, 25.0),
        ({"average rate": 50.0, "guessed rate": 25.0}, None, None),
        ({"average rate": 50.0, "guessed rate": 25.0}, 9.0, None),
        ({}, 0.24, None),
    ],
)
def test_without_time_stamps_the_rate_that_fits_the_length_is_believed(
    rates: dict[str, float], duration: float | None, believed: float | None
) -> None:
    said = header(rates=rates, duration=duration)
    if believed is None:
        with pytest.raises(ClockError, match="it has 6 frames without usable time stamps"):
            build_timeline(UNUSABLE, UNUSABLE, 1, said)
        return
    line = build_timeline(UNUSABLE, UNUSABLE, 1, said)
    assert (line.stamps, line.variable_rate, line.fps) == (None, False, believed)
    assert line.times == pytest.approx(np.arange(6) / believed)
    assert line.note.endswith("25 frames per second are believed")


def test_a_rate_that_time_stamps_deny_is_not_believed_for_a_wrong_one_among_them() -> None:
    """A variable rate, of which one stamp stands still: 25 frames per second would be twice it."""
    said = header(rates={"average rate": 25.0})
    assert build_timeline([0, 1, 2, 2, 4, 5], [], 1, said).fps == 25.0
    with pytest.raises(ClockError, match="without usable time stamps"):
        build_timeline([0, 1, 2, 2, 8, 10], [], 1, said)


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_a_last_frame_that_is_held_counts_in_full(tmp_path: Path, name: str) -> None:
    source = write_numbered(tmp_path / "a.mp4", 25, options={"bf": "0"})
    video = copy_video(source, tmp_path / name, last_length=3.0)
    facts = probe(video)
    assert (facts.n_frames, facts.fps, facts.variable_rate) == (25, 25.0, True)
    assert facts.duration == pytest.approx(3.96)
    counted = probe(video, FRAMES)
    assert (counted.fps, counted.duration, counted.variable_rate) == (25.0, 1.0, False)


def test_a_last_frame_that_the_header_denies_is_not_held() -> None:
    """As an edit list cuts it."""
    line = build_timeline(range(25), [], 100, header(kind="mov,mp4", duration=1.0))
    assert (line.duration, line.variable_rate) == (pytest.approx(1.0), False)


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (header(duration=0.24), ""),
        (header(rates={"average rate": 25.3}), ""),
        (header(rates={"guessed rate": 50.0}), "its header says: guessed rate 50; its"),
        (header(duration=9.0), "its header says: length 9.00 s; its time stamps say 25 frames"),
    ],
)
def test_headers_that_contradict_the_time_stamps_are_told(said: Header, note: str) -> None:
    line = build_timeline(range(6), range(6), 1, said)
    assert line.fps == pytest.approx(25, rel=0.02)
    assert line.note.startswith(note)
    assert bool(line.note) == bool(note)


def test_a_picture_that_starts_days_after_its_sound_is_refused() -> None:
    with pytest.raises(ClockError, match="its picture starts 56 hours after"):
        build_timeline([5_000_000], [], 1, header(kind="mov"))


def test_a_variable_rate_is_its_mean_for_the_clock_that_counts(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "v.mp4", 5, milliseconds=[0, 40, 80, 500, 540])
    facts = probe(video, FRAMES)
    assert not facts.variable_rate
    assert facts.fps == pytest.approx(5 / facts.duration)
    assert timeline(video, FRAMES).times == pytest.approx(np.arange(5) / facts.fps)


def test_numbered_pictures_are_a_video_at_the_rate_stated(tmp_path: Path) -> None:
    folder = tmp_path / "100% take"
    folder.mkdir()
    frames = read_frames(write_numbered(tmp_path / "a.mp4", 12, options={"crf": "4"}), range(12))
    for number, frame in enumerate(frames, start=7):
        Image.fromarray(frame).save(folder / f"img_{number:05d}.png")
    facts = probe(folder, Timing(picture_rate=4))
    assert (facts.n_frames, facts.fps, facts.duration, facts.codec) == (12, 4.0, 3.0, "png")
    assert (facts.height, facts.width, facts.note) == (48, 96, "")
    assert numbers(read_frames(folder, [11, 0, 5])) == [11, 0, 5]
    written = write_proxy(
        folder, tmp_path / "p.mp4", Sampling(every=2), ProxyConfig(), Timing(picture_rate=4)
    )
    assert (written["rate"], written["n_samples"]) == (2.0, 6)
    with pytest.raises(DecodeError, match=r"do not say how many .*data\.picture_rate"):
        probe(folder)
    (folder / "img_00010.png").unlink()
    with pytest.raises(DecodeError, match=r"without a gap: img_%05d.png number 10 is missing"):
        probe(folder, Timing(picture_rate=4))
