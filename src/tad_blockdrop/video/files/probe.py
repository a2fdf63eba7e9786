"""What a video file really contains: frames, rate, size, timestamps, whatever its header claims."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.video.files.container import (
    DecodeError,
    display_size,
    open_video,
    quarter_turns,
)
from tad_blockdrop.video.files.guarded_processes import heartbeat

# Where every packet is one shown frame and has its timestamp. Other codecs hide or pack frames,
# other containers (AVI, MPEG-TS) guess timestamps: there only decoding from the start is exact.
EXACT_CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
EXACT_CONTAINERS = ("mp4", "matroska")
# How much of the promised length may be missing before a file counts as truncated.
LOST_SHARE = 0.02
LOST_SECONDS = 0.5
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


@dataclass(frozen=True, eq=False)
class Packets:
    """What demuxing alone says about a stream.

    ``stamps``: the timestamps of its packets in file order (None: not given), without those that
    an edit list cuts off. ``keys``: the timestamps of key frames, increasing. ``last_length``:
    ticks for which the last frame is shown. ``end``: the second at which the last packet of any
    stream of the file ends.
    """

    stamps: list[int | None]
    keys: list[int]
    last_length: int
    end: float

    def ordered(self) -> list[int] | None:
        """The timestamps as shown, or None if some are missing or given twice."""
        known = sorted({stamp for stamp in self.stamps if stamp is not None})
        return known if known and len(known) == len(self.stamps) else None


def probe(path: str | Path) -> VideoFacts:
    """Facts of a video file, found by reading it through and decoding its first and last frames.

    Raises DecodeError: missing, empty, damaged, truncated, without a video stream.
    """
    line = timeline(path)
    with open_video(path) as (_, stream):
        codec = codec_name(stream)
    first = _first_frame(Path(path))
    height, width = display_size(first)
    return VideoFacts(
        n_frames=len(line.times),
        fps=line.fps,
        duration=line.duration,
        width=width,
        height=height,
        rotation=quarter_turns(first) * 90,
        variable_rate=line.variable_rate,
        codec=codec,
    )


def timeline(path: str | Path) -> Timeline:
    """When each frame of a file is shown. Raises DecodeError as ``probe`` does."""
    with open_video(path) as (container, stream):
        packets = read_packets(Path(path), container, stream)
        _refuse_truncated(Path(path), container, stream, packets)
        if _confirm_packets(container, stream, packets, _first_frame(Path(path))):
            return build_timeline(packets.ordered() or [], packets.last_length, stream)
    with open_video(path) as (container, stream):
        return build_timeline(*_decode_stamps(container, stream), stream)


def _first_frame(path: Path) -> VideoFrame:
    with open_video(path) as (container, stream):
        first = next(container.decode(stream), None)
    if first is None:
        raise DecodeError(path, "it is damaged: no frame can be decoded")
    return first


def codec_name(stream: VideoStream) -> str:
    """ffmpeg's name of the format, whichever decoder plays it: h264, hevc, vp9, av1, mpeg4."""
    return str(stream.codec_context.codec.canonical_name)


def packets_are_frames(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the packets of this kind of file can stand for its frames."""
    exact_container = any(name in container.format.name for name in EXACT_CONTAINERS)
    return exact_container and codec_name(stream) in EXACT_CODECS


def read_packets(path: Path, container: InputContainer, stream: VideoStream) -> Packets:
    """Demux a freshly opened file to its end, decoding nothing."""
    stamps: list[int | None] = []
    keys: list[int] = []
    lengths: dict[int, int] = {}
    end = 0.0
    for packet in _all_packets(path, container):
        heartbeat()
        if packet.size == 0:  # the demuxer's signal to flush
            continue
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index != stream.index:
            continue
        if packet.is_discard:
            continue
        stamps.append(packet.pts)
        if packet.pts is not None:
            lengths[packet.pts] = packet.duration or 0
            if packet.is_keyframe:
                keys.append(packet.pts)
    last_length = lengths[max(lengths)] if lengths else 0
    return Packets(stamps, sorted(keys), last_length, end)


def _all_packets(path: Path, container: InputContainer) -> Iterator["Packet[Any]"]:
    try:
        yield from container.demux()
    except IndexError as error:  # PyAV does not know streams that begin in the middle
        raise DecodeError(path, "it is damaged: its streams change midway") from error


def _refuse_truncated(
    path: Path, container: InputContainer, stream: VideoStream, packets: Packets
) -> None:
    if not packets.stamps:
        raise DecodeError(path, "it holds no video frames")
    promised = 0.0
    if stream.duration:
        promised = float(((stream.start_time or 0) + stream.duration) * _tick(stream))
    elif "matroska" in container.format.name and container.duration:
        promised = container.duration / av.time_base  # of the longest stream
    if packets.end < promised * (1 - LOST_SHARE) - LOST_SECONDS:
        raise DecodeError(
            path, f"it is truncated: {packets.end:.1f} of the {promised:.1f} s its header promises"
        )


def _tick(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _confirm_packets(
    container: InputContainer, stream: VideoStream, packets: Packets, first: VideoFrame
) -> bool:
    """Whether the first and the last frames, decoded, have the timestamps of the packets."""
    known = packets.ordered()
    if (
        not packets_are_frames(container, stream)
        or known is None
        or not packets.keys
        or first.pts != known[0]
        or not seek(container, stream, packets.keys[-1])
    ):
        return False
    shown = (frame.pts for frame in container.decode(stream))
    tail = [stamp for stamp in shown if stamp is not None and stamp >= packets.keys[-1]]
    return bool(tail) and tail == known[-len(tail) :]


def seek(container: InputContainer, stream: VideoStream, stamp: int) -> bool:
    """Go to the key frame at or before a timestamp; False where the format cannot."""
    try:
        container.seek(stamp, stream=stream)
    except av.FFmpegError:
        return False
    return True


def _decode_stamps(container: InputContainer, stream: VideoStream) -> tuple[list[int | None], int]:
    stamps: list[int | None] = []
    length = 0
    for frame in container.decode(stream):
        heartbeat()
        stamps.append(frame.pts)
        length = frame.duration or length
    return stamps, length


def build_timeline(stamps: Sequence[int | None], last_length: int, stream: VideoStream) -> Timeline:
    """A timeline from the timestamps of all shown frames, in the order they are shown.

    Where they are missing or out of order (some AVI files) the rate is taken to be constant.
    """
    count = len(stamps)
    tick = float(_tick(stream))
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
