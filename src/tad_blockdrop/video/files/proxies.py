"""Proxies: the sampled frames of a video, small, in a file for fast random access.

Frame i of the proxy is sample i. The source is decoded once, in order, in constant memory.
"""

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypedDict

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.video.files import jpeg
from tad_blockdrop.video.files.clock import PLAYER, Timeline, Timing
from tad_blockdrop.video.files.container import Pixels, display_size, upright
from tad_blockdrop.video.files.decode import PROXY_MARK, frames_at
from tad_blockdrop.video.files.pictures import files_of
from tad_blockdrop.video.files.probe import timeline
from tad_blockdrop.video.files.sampling import (
    Indices,
    Sampling,
    count_samples,
    count_samples_at,
    evenly_spaced,
    frames_before,
    source_indices,
    source_indices_at,
)

MIN_SIDE = 16  # pixels: below that encoders and decoders are unreliable
FINGERPRINT_BYTES = 1 << 20  # from each end of the file


class ProxyFacts(TypedDict):
    """A proxy: ``n_samples`` frames of ``width`` × ``height`` at ``rate``.

    ``duration`` (s), ``n_frames`` and ``fps`` are those of its source.
    """

    n_samples: int
    rate: float
    duration: float
    n_frames: int
    fps: float
    width: int
    height: int


def source_fingerprint(path: str | Path) -> str:
    """sha256 (hex) over the size, the first and the last MiB of a file: cheap, and it changes with
    any other download, trim or re-encoding of the video. Of a folder, over all its pictures."""
    video = Path(path)
    digest = hashlib.sha256()
    for file in files_of(video):
        size = file.stat().st_size
        digest.update(str(size).encode())
        with file.open("rb") as stream:
            digest.update(stream.read(FINGERPRINT_BYTES))
            stream.seek(max(0, size - FINGERPRINT_BYTES))
            digest.update(stream.read(FINGERPRINT_BYTES))
    return digest.hexdigest()


def sampled_frames(line: Timeline, sampling: Sampling) -> tuple[Indices, float]:
    """Frame indices (n_samples,) of all samples of a video, and their rate per second."""
    rate = sampling.rate(line.fps)
    if line.variable_rate:
        samples = np.arange(count_samples_at(line.duration, rate))
        return source_indices_at(samples, line.times, rate, line.tick), rate
    count, before = len(line.times), frames_before(line.start, line.fps)
    samples = np.arange(count_samples(before + count, line.fps, rate))
    return source_indices(samples, count, line.fps, rate, before), rate


def write_proxy(
    source: str | Path,
    destination: str | Path,
    sampling: Sampling,
    config: ProxyConfig,
    timing: Timing = PLAYER,
    kept: int | None = None,
) -> ProxyFacts:
    """Write the samples of ``source`` into an MP4 file, or ``kept`` of them, evenly spaced.

    H.264 without B-frames, a key frame every ``config.gop``, or JPEG pictures; the short side is at
    most ``config.short_side``, sides are even. The same input gives the same bytes (one encoder
    thread). Raises DecodeError; the destination may then be incomplete, and the caller discards it.
    """
    line = timeline(source, timing)
    indices, rate = sampled_frames(line, sampling)
    if kept is not None and kept < len(indices):
        rate *= kept / len(indices)
        indices = indices[evenly_spaced(len(indices), kept)]
    frames = frames_at(source, indices, line.stamps)
    height, width = _encode(frames, Path(destination), rate, config)
    return ProxyFacts(
        n_samples=len(indices),
        rate=rate,
        duration=line.duration,
        n_frames=len(line.times),
        fps=line.fps,
        width=width,
        height=height,
    )


def proxy_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Height and width: short side at most ``short_side`` (never enlarged), both even, >= 16."""
    scale = min(1.0, short_side / min(size))
    height, width = (max(MIN_SIDE, round(side * scale / 2) * 2) for side in size)
    return height, width


def _encode(
    frames: Iterator[VideoFrame], destination: Path, rate: float, config: ProxyConfig
) -> tuple[int, int]:
    clock = Fraction(rate).limit_denominator(100_000)
    first = next(frames)
    size = proxy_size(display_size(first), config.short_side)
    pictures = (upright(frame, size) for frame in chain([first], frames))
    with av.open(str(destination), "w", format="mp4") as container:
        container.metadata["comment"] = PROXY_MARK
        if config.store == "jpeg":
            packets = jpeg.encode(container, pictures, clock, config.quality)
        else:
            packets = _encode_h264(container, pictures, size, clock, config)
        for packet in packets:
            container.mux(packet)
    return size


def _encode_h264(
    container: OutputContainer,
    pictures: Iterable[Pixels],
    size: tuple[int, int],
    clock: Fraction,
    config: ProxyConfig,
) -> "Iterator[Packet[VideoStream]]":
    options = {
        "crf": str(config.crf),
        "preset": "veryfast",
        "bf": "0",
        "x264-params": f"keyint={config.gop}:min-keyint={config.gop}:scenecut=0:threads=1:"
        "cpu-independent=1",
    }
    stream = container.add_stream("libx264", rate=clock, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = 1 / clock
    for number, picture in enumerate(pictures):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, 1 / clock
        yield from stream.encode(frame)
    yield from stream.encode(None)
