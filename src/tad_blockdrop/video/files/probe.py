"""What a video really contains: frames, rate, size, timestamps, whatever its header claims."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.video.files.clock import (
    PLAYER,
    ClockError,
    Timeline,
    Timing,
    build_timeline,
    read_header,
)
from tad_blockdrop.video.files.container import (
    DecodeError,
    decoded,
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


@dataclass(frozen=True)
class VideoFacts:
    """A video as probed. ``width``, ``height``: pixels as shown, square and after rotation.

    ``rotation``: degrees counter-clockwise that decoding applies (0, 90, 180, 270).
    ``fps``: the constant rate, or the mean one where ``variable_rate``. ``start`` and ``duration``:
    the seconds of the clock at which the first frame starts and the last one ends. ``note``: what
    in the file disagreed about its times and what was believed, or empty.
    """

    n_frames: int
    fps: float
    start: float
    duration: float
    width: int
    height: int
    rotation: int
    variable_rate: bool
    codec: str
    note: str


@dataclass(frozen=True, eq=False)
class Packets:
    """What demuxing alone says about a stream.

    ``stamps``: the timestamps of its packets in file order (None: not given), without those that
    an edit list cuts off. ``first``: the timestamp at which the first of these is decoded.
    ``keys``: the timestamps of key frames, increasing. ``last_length``: ticks for which the last
    frame is shown. ``end``: the second at which the last packet of any stream of the file ends.
    """

    stamps: list[int | None]
    first: int | None
    keys: list[int]
    last_length: int
    end: float

    def ordered(self) -> list[int] | None:
        """The timestamps as shown, or None if some are missing or given twice."""
        known = sorted({stamp for stamp in self.stamps if stamp is not None})
        return known if known and len(known) == len(self.stamps) else None


def probe(path: str | Path, timing: Timing = PLAYER) -> VideoFacts:
    """Facts of a video, found by reading it through and decoding its first and last frames.

    Raises DecodeError: missing, empty, damaged, truncated, without a video stream, without a clock.
    """
    line = timeline(path, timing)
    with open_video(path) as (_, stream):
        codec = codec_name(stream)
    first = first_frame(Path(path))
    height, width = display_size(first)
    return VideoFacts(
        n_frames=len(line.times),
        fps=line.fps,
        start=line.start,
        duration=line.duration,
        width=width,
        height=height,
        rotation=quarter_turns(first) * 90,
        variable_rate=line.variable_rate,
        codec=codec,
        note=line.note,
    )


def timeline(path: str | Path, timing: Timing = PLAYER) -> Timeline:
    """When each frame of a video is shown. Raises DecodeError as ``probe`` does."""
    file = Path(path)
    if file.is_dir() and timing.picture_rate is None:
        raise DecodeError(
            file,
            "its pictures do not say how many of them make a second: state it as 'fps' in the "
            "annotations, or as data.picture_rate",
        )
    try:
        return _timeline(file, timing)
    except ClockError as error:
        raise DecodeError(
            file,
            f"{error}: write it again at its true rate, say 25: "
            f'ffmpeg -r 25 -i "{file.name}" -crf 16 "{file.stem}.mp4"',
        ) from error


def _timeline(path: Path, timing: Timing) -> Timeline:
    with open_video(path) as (container, stream):
        others = _other_streams(container, stream)
        promised = _promised_end(container, stream)  # before reading on, which moves its start
        packets = read_packets(path, container, stream)
        _refuse_truncated(path, promised, packets)
        if _confirm_packets(container, stream, packets, first_frame(path)):
            header = read_header(container, stream, timing, packets.first, packets.stamps)
            stamps = packets.ordered() or []
            line = build_timeline(stamps, [], packets.last_length, header, timing.clock)
            return replace(line, note="; ".join(filter(None, (line.note, others))))
    with open_video(path) as (container, stream):
        shown, decoded_at, last_length = _decode_stamps(container, stream)
        header = read_header(container, stream, timing, packets.first, packets.stamps)
        line = build_timeline(shown, decoded_at, last_length, header, timing.clock)
        return replace(line, note="; ".join(filter(None, (line.note, others))))


def _other_streams(container: InputContainer, stream: VideoStream) -> str:
    """What is to be told of a file that holds several videos, or nothing. Covers do not count."""
    videos = [
        video
        for video in container.streams.video
        if not video.disposition & Disposition.attached_pic
    ]
    if len(videos) < 2:
        return ""
    used = f"number {videos.index(stream) + 1}, {stream.width} x {stream.height} pixels"
    return f"it holds {len(videos)} videos, of which a player may show another: {used}, is read"


def first_frame(path: Path) -> VideoFrame:
    """The first frame of a video that can be decoded. Raises DecodeError if there is none."""
    with open_video(path) as (container, stream):
        first = next(decoded(container, stream), None)
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
    first: int | None = None
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
        if not stamps:
            first = packet.dts
        stamps.append(packet.pts)
        if packet.pts is not None:
            lengths[packet.pts] = packet.duration or 0
            if packet.is_keyframe:
                keys.append(packet.pts)
    last_length = lengths[max(lengths)] if lengths else 0
    return Packets(stamps, first, sorted(keys), last_length, end)


def _all_packets(path: Path, container: InputContainer) -> Iterator["Packet[Any]"]:
    try:
        yield from container.demux()
    except IndexError as error:  # PyAV does not know streams that begin in the middle
        raise DecodeError(path, "it is damaged: its streams change midway") from error


def _promised_end(container: InputContainer, stream: VideoStream) -> float:
    """The second at which a file ends by its header; 0 where that does not say it."""
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * _tick(stream))
    if "matroska" in container.format.name and container.duration:
        return float(container.duration / av.time_base)  # of the longest stream
    return 0.0


def _refuse_truncated(path: Path, promised: float, packets: Packets) -> None:
    if not packets.stamps:
        raise DecodeError(path, "it holds no video frames")
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


def _decode_stamps(
    container: InputContainer, stream: VideoStream
) -> tuple[list[int | None], list[int | None], int]:
    """Of every frame when it is shown and when decoded; ticks for which the last one is shown."""
    shown: list[int | None] = []
    decoded_at: list[int | None] = []
    length = 0
    for frame in container.decode(stream):
        heartbeat()
        shown.append(frame.pts)
        decoded_at.append(frame.dts)
        length = frame.duration or length
    return shown, decoded_at, length
