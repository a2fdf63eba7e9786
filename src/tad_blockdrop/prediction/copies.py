"""A copy of a video that any browser plays, frame by frame, at the times of the source.

Without sound; memory does not grow with the length. The first frame is shown from second 0 on.
"""

from __future__ import annotations  # packets take a type for readers only

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from tad_blockdrop.video.files.clock import PLAYER, Timeline, Timing
from tad_blockdrop.video.files.container import (
    DecodeError,
    Pixels,
    display_size,
    open_video,
    upright,
)
from tad_blockdrop.video.files.decode import numbered_frames
from tad_blockdrop.video.files.probe import codec_name, timeline
from tad_blockdrop.video.files.proxies import proxy_size

Size = tuple[int, int]  # height and width, pixels
Paint = Callable[[Pixels, float], Pixels]  # what becomes of a frame that is shown at that second

SMALL_SIDE = 360  # pixels, of a copy that is only looked at

# By the ending of a file, the codecs that Chrome, Edge, Firefox and Safari play in it.
_PLAYED = {
    ".mp4": {"h264", "vp9", "av1"},
    ".m4v": {"h264"},
    ".webm": {"vp8", "vp9", "av1"},
}
_FULL_COLOUR = ("yuv420p", "yuvj420p")  # the pixel formats of H.264 that all of them play

_CLOCK = Fraction(1, 90_000)  # seconds of one tick of the copy
# Without B-frames the last packet is the last frame, and its length can be written. The others:
# the same bytes each time, which x264 does not promise by itself.
_OPTIONS = {"bf": "0", "x264-params": "threads=1:cpu-independent=1"}
_SMALL = {"crf": "26", "preset": "veryfast", "g": "25"}  # a key frame each second: quick to seek


def plays_in_browser(path: Path, line: Timeline, timing: Timing) -> bool:
    """Whether browsers play the file itself, and show its frames when ``line`` says.

    ``line``: its frames by the clock of ``timing``. Raises DecodeError.
    """
    if not path.is_file():  # a folder of pictures
        return False
    with open_video(path) as (_, stream):
        codec, pixels = codec_name(stream), stream.codec_context.pix_fmt
    if codec not in _PLAYED.get(path.suffix.lower(), ()):
        return False
    if codec == "h264" and pixels not in _FULL_COLOUR:
        return False
    shown = line.times if timing.clock == "player" else timeline(path).times
    return bool(np.abs(shown - line.times).max() < 0.5 / line.fps)


def write_small_copy(source: Path, destination: Path, timing: Timing = PLAYER) -> None:
    """Write ``source`` as a small MP4 (H.264) for browsers. Raises DecodeError.

    The destination may then hold a torn file, which the caller discards.
    """

    def size(of_source: Size) -> Size:
        return proxy_size(of_source, SMALL_SIDE)

    copy_video(source, destination, timing, size, _SMALL)


def copy_video(
    source: Path,
    destination: Path,
    timing: Timing,
    size_of: Callable[[Size], Size],
    options: Mapping[str, str],
    painter: Callable[[Size, float], Paint] | None = None,
) -> None:
    """Write ``source`` as an MP4 (H.264) with the encoder's ``options``. Raises DecodeError.

    ``size_of`` gives the size of the copy by that of the source, ``painter`` what is done to its
    frames, by their size and the length of the video in seconds.
    """
    line = timeline(source, timing)
    seconds = np.append(line.times, line.duration)
    seconds[0] = 0.0
    ticks = np.round(seconds / float(_CLOCK)).astype(np.int64)
    size: Size | None = None
    paint: Paint | None = None
    with av.open(str(destination), "w", format="mp4") as container:
        rate = Fraction(line.fps).limit_denominator(100_000)
        stream = container.add_stream("libx264", rate=rate, options={**_OPTIONS, **options})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _CLOCK
        for number, frame in numbered_frames(source, line.stamps):
            if number == len(line.times):
                break
            if size is None:
                size = size_of(display_size(frame))
                stream.height, stream.width = size
                paint = painter(size, line.duration) if painter else None
            picture = upright(frame, size)
            if paint is not None:
                picture = paint(picture, float(seconds[number]))
            copy = VideoFrame.from_ndarray(picture, format="rgb24")
            copy.pts, copy.time_base = int(ticks[number]), _CLOCK
            container.mux(_with_length(stream.encode(copy), ticks))
        if size is None:
            raise DecodeError(source, "it is damaged: no frame can be decoded")
        container.mux(_with_length(stream.encode(None), ticks))


def _with_length(packets: list[Packet[Any]], ticks: NDArray[np.int64]) -> list[Packet[Any]]:
    """The packets, each with the length of its frame: up to the next of ``ticks``."""
    for packet in packets:
        number = int(np.searchsorted(ticks, packet.pts or 0))
        packet.duration = int(ticks[number + 1] - ticks[number])
    return packets
