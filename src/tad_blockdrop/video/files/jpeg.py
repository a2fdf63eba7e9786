"""Proxies of JPEG pictures: an MP4 file whose own index says where each picture is.

Two to nine times as large as H.264, and quicker to read. Players show them too.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from tad_blockdrop.video.files.container import DecodeError, Pixels
from tad_blockdrop.video.files.sampling import Indices

CODEC = "mjpeg"  # ffmpeg's name


def encode(
    container: OutputContainer, pictures: Iterable[Pixels], clock: Fraction, quality: int
) -> "Iterator[Packet[VideoStream]]":
    """A packet for each picture (H, W, 3) uint8 RGB; all have the size of the first."""
    from simplejpeg import encode_jpeg

    stream = None
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        stream = stream or container.add_mux_stream(CODEC, rate=clock, width=width, height=height)
        packet = av.Packet(encode_jpeg(picture, quality=quality, colorsubsampling="420"))
        packet.stream, packet.time_base, packet.is_keyframe = stream, 1 / clock, True
        packet.pts = packet.dts = number
        packet.duration = 1
        yield packet


def read_pictures(path: Path, stream: VideoStream, indices: Indices) -> Pixels:
    """The pictures (n, H, W, 3) uint8 RGB at ``indices`` (rising). Raises DecodeError."""
    from simplejpeg import decode_jpeg

    entries = stream.index_entries
    pixels = np.empty((len(indices), stream.height, stream.width, 3), np.uint8)
    with path.open("rb", buffering=0) as file:
        for place, index in enumerate(indices.tolist()):
            if index >= len(entries):
                raise _lost(path, index)
            entry = entries[index]
            file.seek(entry.pos)
            try:
                picture = decode_jpeg(file.read(entry.size), buffer=pixels[place])
            except ValueError as error:
                raise _lost(path, index) from error
            if picture.shape != pixels.shape[1:]:
                raise _lost(path, index)
    return pixels


def _lost(path: Path, index: int) -> DecodeError:
    return DecodeError(path, f"frame {index} cannot be decoded: the file is damaged or too short")
