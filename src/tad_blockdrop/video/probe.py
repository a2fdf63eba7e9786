"""What a video file really holds: frames, rate, size and timestamps, whatever its header claims."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.video.container import DecodeError, display_size, open_video

# Codecs whose every packet is one shown frame; others hide or pack frames, so they are decoded.
PACKET_IS_FRAME = frozenset({"h264", "hevc", "vp9", "av1"})
LOST_SHARE = 0.02  # of the frames or seconds a header promises, before a file counts as truncated
DEFAULT_RATE = 25.0  # of a single picture without any timing


@dataclass(frozen=True)
class VideoFacts:
    """A video as probed. ``width``, ``height``: pixels as shown, after rotation.

    ``rotation``: degrees counter-clockwise that decoding applies (0, 90, 180, 270).
    ``fps``: the constant rate, or the mean one where ``variable_rate``. ``duration``: seconds from
    the start of the first frame to the end of the last one.
    """

    n_frames: int
    fps: float
    duration: float
    width: int
    height: int
    rotation: int
    variable_rate: bool
    codec: str


@dataclass(frozen=True, eq=False)
class Timeline:
    """When each frame of a video is shown.

    ``times`` (n,): seconds from the first frame, increasing. ``tick``: seconds of one unit of the
    file's clock. ``stamps`` (n,): the file's own timestamps, or None where they are unusable and
    only the order counts.
    """

    times: npt.NDArray[np.float64]
    stamps: npt.NDArray[np.int64] | None
    duration: float
    fps: float
    variable_rate: bool
    tick: float


@dataclass(frozen=True)
class _Packets:
    """What demuxing finds: timestamps of frames, key frames, the last frame's length, the end."""

    stamps: list[int | None]
    keys: list[int]
    last_length: int
    total: int
    end: float


def probe(path: str | Path) -> VideoFacts:
    """Facts of a video file, found by reading it through and decoding its first and last frames.

    Raises DecodeError: missing, empty, damaged, truncated, without a video stream.
    """
    with open_video(path) as (container, stream):
        timeline, first = _timeline(Path(path), container, stream)
        height, width = display_size(first)
        return VideoFacts(
            n_frames=len(timeline.times),
            fps=timeline.fps,
            duration=timeline.duration,
            width=width,
            height=height,
            rotation=round(first.rotation / 90) % 4 * 90,
            variable_rate=timeline.variable_rate,
            codec=codec_name(stream),
        )


def timeline(path: str | Path) -> Timeline:
    """When each frame of a file is shown. Raises DecodeError as ``probe`` does."""
    with open_video(path) as (container, stream):
        return _timeline(Path(path), container, stream)[0]


def codec_name(stream: VideoStream) -> str:
    """ffmpeg's name of the format, whichever decoder plays it: h264, hevc, vp9, av1, mpeg4."""
    return str(stream.codec_context.codec.canonical_name)


def _timeline(
    path: Path, container: InputContainer, stream: VideoStream
) -> tuple[Timeline, VideoFrame]:
    packets = _demux(container, stream)
    _refuse_truncated(path, container, stream, packets)
    container.seek(0)
    first = next(container.decode(stream), None)
    if first is None:
        raise DecodeError(path, "it is damaged: no frame can be decoded")
    stamps = _trusted_stamps(container, stream, packets, first)
    length = packets.last_length
    if stamps is None:
        stamps, length = _decode_stamps(container, stream)
    return build_timeline(stamps, length, stream), first


def _demux(container: InputContainer, stream: VideoStream) -> _Packets:
    stamps: list[int | None] = []
    keys: list[int] = []
    ends: dict[int, int] = {}
    total, end = 0, 0.0
    for packet in container.demux():
        if packet.size == 0:
            continue
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index != stream.index:
            continue
        total += 1
        if packet.is_discard:  # before the cut of an edit list: decoded, never shown
            continue
        stamps.append(packet.pts)
        if packet.pts is not None:
            ends[packet.pts] = packet.duration or 0
            if packet.is_keyframe:
                keys.append(packet.pts)
    return _Packets(stamps, keys, ends[max(ends)] if ends else 0, total, end)


def _refuse_truncated(
    path: Path, container: InputContainer, stream: VideoStream, packets: _Packets
) -> None:
    promised = stream.frames
    if packets.total < promised * (1 - LOST_SHARE) - 1:
        raise DecodeError(
            path, f"it is truncated: {packets.total} of the {promised} frames its header promises"
        )
    if packets.total == 0:
        raise DecodeError(path, "it holds no video frames")
    # Only Matroska and WebM state the duration of the file apart from its packets.
    if "matroska" in container.format.name and container.duration:
        seconds = container.duration / av.time_base
        if packets.end < seconds * (1 - LOST_SHARE) - 1:
            raise DecodeError(
                path,
                f"it is truncated: {packets.end:.1f} of the {seconds:.1f} s its header promises",
            )


def _trusted_stamps(
    container: InputContainer, stream: VideoStream, packets: _Packets, first: VideoFrame
) -> list[int | None] | None:
    """The packets' timestamps in order, if the first and the last decoded frame bear them out."""
    known = sorted(stamp for stamp in packets.stamps if stamp is not None)
    if (
        codec_name(stream) not in PACKET_IS_FRAME
        or len(known) != len(packets.stamps)
        or len(set(known)) != len(known)
        or not packets.keys
        or first.pts != known[0]
    ):
        return None
    container.seek(max(packets.keys), stream=stream)
    tail = [frame.pts for frame in container.decode(stream)]
    tail = [stamp for stamp in tail if stamp is not None and stamp >= max(packets.keys)]
    return list(known) if tail == known[len(known) - len(tail) :] and tail else None


def _decode_stamps(container: InputContainer, stream: VideoStream) -> tuple[list[int | None], int]:
    container.seek(0)
    stamps: list[int | None] = []
    length = 0
    for frame in container.decode(stream):
        stamps.append(frame.pts)
        length = frame.duration or length
    return stamps, length


def build_timeline(stamps: list[int | None], last_length: int, stream: VideoStream) -> Timeline:
    """A timeline from the timestamps of all shown frames, in the order they are shown.

    Where they are missing or out of order (some AVI files) the rate is taken to be constant.
    """
    count = len(stamps)
    tick = float(stream.time_base or Fraction(1, 1000))
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    known = np.array([stamp for stamp in stamps if stamp is not None], dtype=np.int64)
    if len(known) != count or (count > 1 and np.diff(known).min() <= 0):
        return _constant(count, rates[0] if rates else DEFAULT_RATE, tick, None)
    times = (known - known[0]) * tick
    if count == 1:
        rates = [*rates, 1 / (last_length * tick)] if last_length else [*rates, DEFAULT_RATE]
    else:
        rates.append((count - 1) / times[-1])
    for rate in rates:
        drift = np.abs(times - np.arange(count) / rate).max()
        # A clock too coarse for the rate rounds by one tick; a quarter of a frame is a lost frame.
        if drift <= min(tick, 0.25 / rate) + 1e-9:
            return _constant(count, rate, tick, known)
    last = last_length * tick if last_length else float(np.median(np.diff(times)))
    duration = float(times[-1] + last)
    return Timeline(times, known, duration, count / duration, True, tick)


def _constant(
    count: int, rate: float, tick: float, stamps: npt.NDArray[np.int64] | None
) -> Timeline:
    return Timeline(np.arange(count) / rate, stamps, count / rate, rate, False, tick)
