"""Opening a video with PyAV: its main video stream, its frames in order, pixels as shown.

A video is a file, or a folder of numbered pictures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from tad_blockdrop.errors import BlockDropError, printable
from tad_blockdrop.video.files.listing import VIDEO_FORMATS
from tad_blockdrop.video.files.pictures import PicturesError, picture_series

Pixels = npt.NDArray[np.uint8]

# Those of ffmpeg's formats that are bare streams: frames without time stamps.
BARE_FORMATS = frozenset({"h264", "hevc", "mpegvideo", "m4v", "mjpeg", "obu"})

# The formats that hold their own frames. Others (playlists, concatenations) name further files or
# addresses, which a video must not make us open.
FORMATS = ",".join(dict.fromkeys([*VIDEO_FORMATS.values(), *sorted(BARE_FORMATS)]))

PICTURES = "image2"  # ffmpeg's name of the format of numbered pictures

MOST_PIXELS = 16384 * 8192  # of a frame
_NEWER_KINDS = range(len(Type), 36)  # of side data; ffmpeg 8.1 has 32
MOST_STRETCH = 16  # of a pixel: a header that says more is not believed

# How files of these formats begin: what does is damaged where it cannot be opened, and what does
# not is no video.
_BEGINNINGS = (
    b"\x1aE\xdf\xa3", b"RIFF", b"FLV", b"OggS", b"\x30\x26\xb2\x75", b"\x06\x0e\x2b\x34",
    b"\x00\x00\x01", b"\x00\x00\x00\x01", b".RMF", b"\x1f\x07\x00", b"GIF8", b"DKIF", b"YUV4MPEG2",
)  # fmt: skip
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"uuid")
MOST_BOXES = 1000  # that are looked at for the index of an MP4 file

UNFINISHED = (
    "it is not complete: it is still being copied or recorded, or was cut off (an MP4 file gets "
    "its index at its end; record as .mkv or .ts what is to be read while it grows)"
)


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
    opened = False
    try:
        # Metadata in another encoding than UTF-8 must not make a video unreadable.
        with av.open(**_source(file), metadata_errors="replace") as container:
            opened = True
            yield container, _whole_stream(container, file)
    except av.FFmpegError as error:
        raise DecodeError(file, why_unreadable(file, error, opened)) from error


def _whole_stream(container: InputContainer, file: Path) -> VideoStream:
    """``picture_stream``, unless it is missing with the rest of the index."""
    try:
        return picture_stream(container, file)
    except DecodeError:
        if file.is_file() and _lacks_index(file):
            raise DecodeError(file, UNFINISHED) from None
        raise


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The best video stream, ready to be decoded. Raises DecodeError if there is none."""
    stream = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic:
        raise DecodeError(path, "it holds no video stream")
    if stream.codec_context is None:
        raise DecodeError(path, "its video is in a format (codec) that cannot be decoded")
    assert isinstance(stream, VideoStream)
    # One thread: parallelism is over videos, and the order of errors stays the same.
    stream.codec_context.thread_count = 1
    # A header of a few bytes may claim a frame of gigabytes.
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def _source(file: Path) -> dict[str, Any]:
    """What to open, and how: the arguments of ``av.open``."""
    if file.is_dir():
        try:
            series = picture_series(file)
        except PicturesError as error:
            raise DecodeError(file, str(error)) from error
        folder = str(file.absolute()).replace("%", "%%")
        options = {"pattern_type": "sequence", "start_number": str(series.first)}
        return {"file": f"{folder}/{series.pattern}", "format": PICTURES, "options": options}
    if not file.is_file():
        raise DecodeError(file, "there is no such file")
    if file.stat().st_size == 0:
        raise DecodeError(file, "the file is empty (0 bytes)")
    return {"file": str(file.absolute()), "options": {"format_whitelist": FORMATS}}


def why_unreadable(file: Path, error: av.FFmpegError, opened: bool) -> str:
    """Why a file cannot be used. ``opened``: whether its format was known."""
    said = str(error.strerror).lower()
    if isinstance(error, PermissionError):
        return f"it cannot be read ({said})"
    if opened or file.is_dir():
        return f"it is damaged ({said})"
    if isinstance(error, av.ArgumentError):  # a format that ffmpeg knows, but not one of FORMATS
        return "it is not a video, or in a format that is not read here"
    # A file that is followed as it grows is waited for until it exits.
    waited = isinstance(error, av.error.ExitError)
    return _unknown_format(file, UNFINISHED if waited else f"it is damaged ({said})")


def _unknown_format(file: Path, damaged: str) -> str:
    """What a file is whose format ffmpeg does not know; ``damaged``: if it begins as a video."""
    with file.open("rb") as stream:
        start = stream.read(200)
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the video itself: git lfs pull"
    packets = any(start[at : at + 189 : 188] == b"GG" for at in (0, 4))  # of MPEG-TS
    begins_well = start.startswith(_BEGINNINGS) or start[4:8] in _BOXES or packets
    if not begins_well:
        return "it is not a video"
    return UNFINISHED if _lacks_index(file) else damaged


def _lacks_index(file: Path) -> bool:
    """Whether an MP4 or MOV file ends, or goes on as zeros, before its box ``moov`` does."""
    with file.open("rb") as stream:
        for _ in range(MOST_BOXES):
            begin, head = stream.tell(), stream.read(16)
            length, kind = int.from_bytes(head[:4]), head[4:8]
            if not any(kind):  # a copy may get its whole length before its content
                return begin > 0
            if kind not in _BOXES:
                return False
            if length == 1:
                length = int.from_bytes(head[8:])
            end = begin + length if length else file.stat().st_size  # 0: all the rest
            if kind == b"moov":
                return end > file.stat().st_size
            stream.seek(max(end, begin + 8))
    return False


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames of a stream in the order they are shown.

    Each carries the shape of the stream's pixels, width over height, as ``frame.opaque``: frames
    do not say it themselves.
    """
    shape = stream.sample_aspect_ratio or Fraction(1)
    if not 1 / MOST_STRETCH <= shape <= MOST_STRETCH:
        shape = Fraction(1)
    for frame in container.decode(stream):
        # An object of its own: PyAV forgets one that frames share as soon as the first is freed.
        frame.opaque = Fraction(shape)
        yield frame


def mirrored(frame: VideoFrame) -> bool:
    """Whether a frame is to be shown as in a mirror, left for right, before it is turned."""
    try:
        found: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives nothing at all where it does not know one of the kinds
        found = _with_known_kinds(frame).side_data.get("DISPLAYMATRIX")
    if found is None:
        return False
    a, b, _, c, d, *_ = np.frombuffer(found, np.int32).tolist()
    return bool(a * d < b * c)


def _with_known_kinds(frame: VideoFrame) -> VideoFrame:
    """The frame without what ffmpeg tells of it in kinds that are newer than PyAV, as EXIF is."""
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
        ),
        *(graph.add("sidedata", f"mode=delete:type={kind}") for kind in _NEWER_KINDS),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(frame)
    return graph.vpull()


def quarter_turns(frame: VideoFrame) -> int:
    """Counter-clockwise quarter turns (0 to 3) to show a frame as the file asks.

    A frame to be mirrored as well is mirrored first.
    """
    return (round(frame.rotation / 90) + 2 * mirrored(frame)) % 4


def pixel_shape(frame: VideoFrame) -> Fraction:
    """Width over height of a frame's pixels, of frames that ``decoded`` gave."""
    shape = frame.opaque
    return shape if isinstance(shape, Fraction) else Fraction(1)


def display_size(frame: VideoFrame) -> tuple[int, int]:
    """Height and width as shown: of square pixels, after the rotation that the file asks for."""
    height, width = frame.height, max(1, round(frame.width * pixel_shape(frame)))
    return (width, height) if round(frame.rotation / 90) % 2 else (height, width)


def upright(frame: VideoFrame, size: tuple[int, int] | None = None) -> Pixels:
    """RGB pixels (H, W, 3) uint8, mirrored and turned as the file asks.

    Scaled to ``size`` (height, width), bicubic with a support that widens when shrinking (no
    aliasing).
    """
    height, width = size or display_size(frame)
    turns = quarter_turns(frame)
    if turns % 2:
        height, width = width, height
    pixels = frame.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1
    ).to_ndarray()
    if mirrored(frame):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, k=turns))
