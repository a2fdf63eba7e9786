"""Opening a video file with PyAV: its main video stream, its frames in order, upright pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from tad_blockdrop.errors import BlockDropError

Pixels = npt.NDArray[np.uint8]


class DecodeError(BlockDropError):
    """A video that cannot be read: one sentence, naming the file."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = Path(path), reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@contextmanager
def open_video(path: str | Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream (ffmpeg's choice: the largest; covers come last).

    Whatever the demuxer or the decoder finds wrong inside the block is a DecodeError.
    """
    file = Path(path)
    if not file.is_file():
        raise DecodeError(file, "there is no such file")
    if file.stat().st_size == 0:
        raise DecodeError(file, "the file is empty (0 bytes)")
    try:
        # Metadata in another encoding than UTF-8 must not make a video unreadable.
        with av.open(str(file), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None:
                raise DecodeError(file, "it holds no video stream")
            # One thread: parallelism is over videos, and the order of errors stays the same.
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        raise DecodeError(
            file, f"it is damaged or not a video ({str(error.strerror).lower()})"
        ) from error


def display_size(frame: VideoFrame) -> tuple[int, int]:
    """Height and width as shown: after the rotation that the file asks for."""
    if frame.rotation % 180:
        return frame.width, frame.height
    return frame.height, frame.width


def upright(frame: VideoFrame, size: tuple[int, int] | None = None) -> Pixels:
    """RGB pixels (H, W, 3) uint8, rotated as the file asks, scaled to ``size`` (height, width).

    Scaling is bicubic with a support that widens when shrinking (no aliasing).
    """
    height, width = size or display_size(frame)
    if frame.rotation % 180:
        height, width = width, height
    pixels = frame.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1
    ).to_ndarray()
    # The matrix's angle is counter-clockwise, as is rot90's.
    return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90)))
