"""Opening a video file with PyAV: its main video stream, its frames in order, upright pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from tad_blockdrop.errors import BlockDropError, printable
from tad_blockdrop.video.files.listing import VIDEO_FORMATS

Pixels = npt.NDArray[np.uint8]

# ffmpeg's names of the formats that hold their own frames, the last three as bare streams. Others
# (playlists, concatenations) name further files or addresses, which a video must not make us open.
FORMATS = ",".join([*dict.fromkeys(VIDEO_FORMATS.values()), "mpegvideo", "h264", "hevc"])

MOST_PIXELS = 16384 * 8192  # of a frame


class DecodeError(BlockDropError):
    """A video that cannot be read: one sentence, naming the file."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = Path(path), reason

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


@contextmanager
def open_video(path: str | Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream (ffmpeg's choice: the largest; covers come last).

    Errors of the demuxer or the decoder inside the block become DecodeErrors.
    """
    file = Path(path)
    if printable(str(file.absolute())) != str(file.absolute()):  # no table could hold it
        raise DecodeError(file, "its name, or that of a folder around it, is not UTF-8: rename it")
    if not file.is_file():
        raise DecodeError(file, "there is no such file")
    if file.stat().st_size == 0:
        raise DecodeError(file, "the file is empty (0 bytes)")
    try:
        # Metadata in another encoding than UTF-8 must not make a video unreadable.
        with av.open(
            str(file.absolute()), options={"format_whitelist": FORMATS}, metadata_errors="replace"
        ) as container:
            stream = container.streams.best("video")
            if stream is None or stream.disposition & Disposition.attached_pic:
                raise DecodeError(file, "it holds no video stream")
            if stream.codec_context is None:
                raise DecodeError(file, "its video is in a format (codec) that cannot be decoded")
            # One thread: parallelism is over videos, and the order of errors stays the same.
            stream.codec_context.thread_count = 1
            # A header of a few bytes may claim a frame of gigabytes.
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            yield container, stream
    except av.FFmpegError as error:
        raise DecodeError(
            file, f"it is damaged or not a video ({str(error.strerror).lower()})"
        ) from error


def quarter_turns(frame: VideoFrame) -> int:
    """Counter-clockwise quarter turns (0 to 3) to show a frame as the file asks."""
    return round(frame.rotation / 90) % 4


def display_size(frame: VideoFrame) -> tuple[int, int]:
    """Height and width as shown: after the rotation that the file asks for."""
    if quarter_turns(frame) % 2:
        return frame.width, frame.height
    return frame.height, frame.width


def upright(frame: VideoFrame, size: tuple[int, int] | None = None) -> Pixels:
    """RGB pixels (H, W, 3) uint8, rotated as the file asks, scaled to ``size`` (height, width).

    Scaling is bicubic with a support that widens when shrinking (no aliasing).
    """
    height, width = size or display_size(frame)
    turns = quarter_turns(frame)
    if turns % 2:
        height, width = width, height
    pixels = frame.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1
    ).to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, k=turns))
