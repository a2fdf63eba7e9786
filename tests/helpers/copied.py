"""Videos copied from one container into another without encoding, as people do it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame

RATE = 8000  # of sound


def copy_video(
    source: Path,
    destination: Path,
    packets_filter: str | None = None,
    last_length: float | None = None,
) -> Path:
    """The packets of a video in another container.

    ``packets_filter``: ffmpeg's, as ``h264_mp4toannexb`` for H.264 from MP4. ``last_length``:
    seconds for which the last frame of a video without B-frames is shown.
    """
    with av.open(str(source)) as read, av.open(str(destination), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        packets = list(_packets(read, stream, packets_filter))
        if last_length is not None:
            packets[-1].duration = round(last_length / packets[-1].time_base)
        for packet in packets:
            packet.stream = stream
            written.mux(packet)
    return destination


def _packets(
    read: InputContainer, stream: Stream, packets_filter: str | None
) -> Iterator["Packet[Any]"]:
    source = read.streams.video[0]
    change = BitStreamFilterContext(packets_filter, source, stream) if packets_filter else None
    for packet in read.demux(source):
        if packet.size:
            yield from change.filter(packet) if change else [packet]
    if change:
        yield from change.filter(None)


def with_second(source: Path, destination: Path, cover: bool = False) -> Path:
    """A file with a video twice, as of two cameras; or the second one is a ``cover`` picture."""
    with av.open(str(source)) as read, av.open(str(destination), "w") as written:
        first = written.add_stream_from_template(read.streams.video[0])
        if cover:
            second: Any = written.add_stream("mjpeg", rate=1)
            second.height, second.width, second.pix_fmt = 48, 96, "yuvj420p"
            second.disposition = Disposition.attached_pic
            picture = VideoFrame.from_ndarray(np.zeros((48, 96, 3), np.uint8), format="rgb24")
            picture.pts = 0
            written.mux([*second.encode(picture), *second.encode(None)])
        else:
            second = written.add_stream_from_template(read.streams.video[0])
        for stream in (first,) if cover else (first, second):
            read.seek(0)
            for packet in _packets(read, stream, None):
                packet.stream = stream
                written.mux(packet)
    return destination


def with_sound(source: Path, destination: Path, late: float, seconds: float) -> Path:
    """A copy with ``seconds`` of silence from 0 on, whose picture starts ``late`` seconds later."""
    with av.open(str(source)) as read, av.open(str(destination), "w") as written:
        picture = written.add_stream_from_template(read.streams.video[0])
        sound = written.add_stream("pcm_s16le", rate=RATE, layout="mono")
        _write_silence(written, sound, seconds)
        for packet in read.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                ticks = round(late / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = picture
                written.mux(packet)
    return destination


def _write_silence(written: OutputContainer, sound: Any, seconds: float) -> None:
    samples = RATE // 10
    for number in range(round(seconds * 10)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * samples, Fraction(1, RATE)
        written.mux(sound.encode(frame))
    written.mux(sound.encode(None))
