"""Rows about time: when the frames of a video are shown."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from copied import copy_video, with_sound
from field_rows import Row, check_one
from numbered import write_numbered

from tad_blockdrop.prediction.draw import draw_video
from tad_blockdrop.video.files.clock import ClockError, Header, Timing, build_timeline
from tad_blockdrop.video.files.probe import timeline

RATES = (15, 24, 25, Fraction(30000, 1001), 30, 50, 60)
ALL_RATES = ", ".join(f"{float(rate):.4g}" for rate in RATES)


def late_picture(folder: Path) -> Row:
    """Cut without encoding: sound from the start, the picture from the next key frame on."""
    facts, said = _late(folder, Timing())
    told = "its picture starts 1.500 s after" in said
    right = told and np.allclose(facts, (1.5, 3.5))
    return Row("the picture starts after the sound", "it is shown from 1.5 to 3.5 s", said, right)


def late_picture_counted(folder: Path) -> Row:
    """The same for published datasets."""
    facts, said = _late(folder, Timing(clock="frames"))
    return Row(
        "the same, `data.clock: frames`", "20 frames of 0.1 s", said, np.allclose(facts, (0, 2))
    )


def _late(folder: Path, timing: Timing) -> tuple[tuple[float, float], str]:
    picture = write_numbered(folder / "picture.mp4", 20, 10)
    found = check_one(with_sound(picture, folder / "late.mov", 1.5, 3.5), timing)
    facts = found.of("late.mov")
    said = f"from {facts['start']:.2f} to {facts['duration']:.2f} s; {found.said}"
    return (facts["start"], facts["duration"]), said.removesuffix("; ")


def copied_into_avi(folder: Path) -> Row:
    """H.264 with B-frames, at each usual rate."""
    rates, told = [], ""
    for rate in RATES:
        source = write_numbered(folder / "a.mp4", 30, rate, options={"bf": "2"})
        found = check_one(copy_video(source, folder / "a.avi", "h264_mp4toannexb"))
        facts, told = found.of("a.avi"), found.said
        rates.append(facts["fps"])
        assert np.isclose(facts["duration"], 30 / facts["fps"])
    right = np.allclose(rates, [float(rate) for rate in RATES], rtol=1e-3) and "believed" in told
    said = ", ".join(f"{rate:.4g}" for rate in rates)
    return Row("B-frames copied into AVI", f"{ALL_RATES} frames/s", f"{said}; {told}", right)


def dropped_frames(folder: Path) -> Row:
    """AVI, whose empty slots stand for frames that a camera dropped."""
    lost, right, told = set(range(20, 30)), True, ""
    for codec, options in (("mpeg4", {"bf": "2"}), ("mjpeg", {}), ("libx264", {"bf": "3"})):
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = folder / f"{codec}.avi"
        write_numbered(path, 50, 25, codec, options or {"g": "12"}, lost=lost, pixels=pixels)
        times = timeline(path).times
        there = np.array([number for number in range(50) if number not in lost]) / 25
        right &= len(times) == len(there) and np.allclose(times, there)
        told = check_one(path).said
    true = "a hole from 0.8 to 1.2 s (three codecs)"
    said = f"{'that hole' if right else 'another hole'}; {told}"
    return Row("frames dropped in AVI", true, said, right and "believed" in told)


def bare_streams(folder: Path) -> Row:
    """H.264 and HEVC without a container."""
    rates, told = [], ""
    quiet = {"x265-params": "log-level=none"}
    for name, codec, options in (("a.h264", "libx264", {}), ("a.hevc", "libx265", quiet)):
        for rate in RATES:
            found = check_one(write_numbered(folder / name, 20, rate, codec, options))
            rates.append(found.of(name)["fps"])
            told = found.said
    right = np.allclose(rates, [float(rate) for rate in RATES] * 2, rtol=1e-3)
    said = ", ".join(f"{rate:.4g}" for rate in rates[: len(RATES)])
    return Row("bare H.264, HEVC", f"{ALL_RATES} frames/s", f"{said}; {told}", right)


def bare_stream_without_rate(folder: Path) -> Row:
    """Nothing in the file says how fast it goes."""
    silent = {"x265-params": "log-level=none:vui-timing-info=0"}
    found = check_one(write_numbered(folder / "a.hevc", 20, 30, "libx265", silent))
    right = found.refused and 'ffmpeg -r 25 -i "a.hevc"' in found.said
    return Row("bare HEVC that says no rate", "nobody can know its rate", found.said, right)


def last_frame(folder: Path) -> Row:
    """A variable rate, whose last frame stands for three seconds."""
    lost = range(5, 29)
    source = write_numbered(folder / "a.mp4", 30, options={"bf": "0"}, lost=lost)
    video = copy_video(source, folder / "long.mp4", last_length=3.0)
    draw_video(video, [], folder / "drawn.mp4")
    seconds = timeline(folder / "drawn.mp4").duration
    said = f"the drawn copy ends at {seconds:.2f} s"
    return Row("a long last frame", "the video ends at 4.16 s", said, np.isclose(seconds, 4.16))


def pixel_shapes(folder: Path) -> Row:
    """96 pixels of each row, 48 rows."""
    sizes = []
    for shape in (Fraction(2), Fraction(1, 2), Fraction(64, 45)):
        facts = check_one(write_numbered(folder / "a.mp4", 3, shape=shape)).of("a.mp4")
        sizes.append(f"{facts['width']} × {facts['height']}")
    true = "192 × 48, 48 × 48, 137 × 48"
    said = ", ".join(sizes)
    return Row("96 × 48 pixels of shape 2:1, 1:2, 64:45", true, said, said == true)


def held_frame(folder: Path) -> Row:
    """A constant rate, at whose end a picture stands still."""
    source = write_numbered(folder / "a.mp4", 25, options={"bf": "0"})
    ends = []
    for name in ("a.mov", "a.mkv"):
        ends.append(timeline(copy_video(source, folder / name, last_length=3.0)).duration)
    said = " and ".join(f"{end:.2f} s" for end in ends)
    return Row("25 frames/s, the last held for 3 s", "it ends at 3.96 s", said, ends == [3.96] * 2)


def slow(folder: Path) -> Row:
    """Time lapse in Matroska."""
    found = check_one(write_numbered(folder / "a.mkv", 8, 1, options={"bf": "0"}))
    facts = None if found.refused else found.of("a.mkv")
    said = found.said if facts is None else f"{facts['fps']:g} frames/s, {facts['duration']:g} s"
    return Row("8 frames, one a second, in MKV", "1 frames/s, 8 s", said, said == "1 frames/s, 8 s")


def wrong_stamp(folder: Path) -> Row:
    """A variable rate with one time stamp too early, in a file whose header says 25 per second."""
    del folder
    stamps = [number * 40 + (number > 9) * (number - 9) * 80 for number in range(20)]
    stamps[15] -= 200
    said = Header("flv", {"average rate": 25.0}, 1e-3)
    try:
        rate = f"{build_timeline(stamps, [], 40, said).fps:g} frames/s"
    except ClockError as error:
        rate = str(error)
    return Row("one wrong stamp, variable rate", "not 25 frames/s", rate, "nothing in it" in rate)


KINDS = [
    late_picture, late_picture_counted, copied_into_avi, dropped_frames, bare_streams,
    bare_stream_without_rate, last_frame, held_frame, slow, wrong_stamp, pixel_shapes,
]  # fmt: skip
