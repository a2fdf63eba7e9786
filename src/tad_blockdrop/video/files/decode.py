"""Random access to the frames of a video.

Where a frame is, is known in three ways: from the packets of any file; for the proxies that this
project wrote, which are clean, from the index in their header, so that nothing else is read; and
the pictures of JPEG proxies are found by that index without a decoder of videos.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.video.files import jpeg
from tad_blockdrop.video.files.container import (
    DecodeError,
    Pixels,
    decoded,
    display_size,
    open_video,
    upright,
)
from tad_blockdrop.video.files.guarded_processes import heartbeat
from tad_blockdrop.video.files.probe import (
    codec_name,
    first_frame,
    packets_are_frames,
    read_packets,
    seek,
)
from tad_blockdrop.video.files.sampling import Indices

# In the metadata of every proxy: one packet a frame, no reordering, every key frame a clean start.
PROXY_MARK = "tad_blockdrop proxy"
SAME_SHAPE = 0.02  # by so much, relatively, width over height may change: sizes are whole pixels


def read_frames(path: str | Path, indices: npt.ArrayLike) -> Pixels:
    """Frames (n, H, W, 3) uint8 RGB, upright, in the order of ``indices`` (n,); repeats allowed.

    All have the size of the first. The file is closed on return, whatever happens. Raises
    DecodeError, also for a frame beyond the end.
    """
    wanted = np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1 or wanted.size == 0 or wanted.min() < 0:
        raise ValueError(f"frame indices must be a non-empty list of numbers >= 0, not {wanted}")
    unique, positions = np.unique(wanted, return_inverse=True)
    frames = _read_rising(Path(path), unique)
    # Most windows ask in order, and then need no other copy of all pixels.
    return frames if np.array_equal(unique, wanted) else frames[positions]


def _read_rising(path: Path, indices: Indices) -> Pixels:
    """Frames at ``indices`` (rising), by seeking, or from the start where that is not exact."""
    with open_video(path) as (container, stream):
        is_proxy = container.metadata.get("comment") == PROXY_MARK
        if is_proxy and codec_name(stream) == jpeg.CODEC:
            return jpeg.read_pictures(path, stream, indices)
        index = _own_index(stream) if is_proxy else _packet_index(path, container, stream)
        pixels = _pixels(_seek_frames(container, stream, index, indices), len(indices))
    if len(pixels) < len(indices):
        stamps = np.array(index.stamps) if index.stamps else None
        pixels = _pixels(frames_at(path, indices, stamps), len(indices))
    return pixels


@dataclass(frozen=True)
class _Index:
    """When frames are shown, in their order, and the times of key frames; in units of the file."""

    stamps: list[int]
    keys: list[int]


def _own_index(stream: VideoStream) -> _Index:
    """That of a proxy, which its header holds."""
    entries = list(stream.index_entries)
    return _Index(
        [entry.timestamp for entry in entries],
        [entry.timestamp for entry in entries if entry.is_keyframe],
    )


def _packet_index(path: Path, container: InputContainer, stream: VideoStream) -> _Index:
    """Of any file, out of all its packets; empty where packets cannot stand for frames."""
    packets = read_packets(path, container, stream)
    stamps = packets.ordered() if packets_are_frames(container, stream) else None
    # Some files say only when frames are decoded; and what cannot be decoded is no frame.
    untold = stream.codec_context.has_b_frames and stamps == packets.stamps
    if untold or (stamps and first_frame(path).pts != stamps[0]):
        stamps = None
    return _Index(stamps or [], packets.keys)


def _pixels(frames: Iterator[VideoFrame], count: int) -> Pixels:
    """Up to ``count`` frames, upright, in one array, all scaled to the size of the first."""
    pixels = np.empty((0, 0, 0, 3), np.uint8)
    done = 0
    for frame in frames:
        if done == 0:
            pixels = np.empty((count, *display_size(frame), 3), np.uint8)
        height, width = pixels.shape[1:3]
        pixels[done] = upright(frame, (height, width))
        done += 1
    return pixels[:done]


def numbered_frames(
    path: str | Path, stamps: Indices | None = None
) -> Iterator[tuple[int, VideoFrame]]:
    """Every frame that can be decoded, in one pass, with its number in the file.

    ``stamps``: the timestamps of all frames, if known; a lost frame then does not shift those after
    it. Raises DecodeError, also where the shape of the picture changes.
    """
    with open_video(path) as (container, stream):
        number, size = -1, None
        for frame in decoded(container, stream):
            heartbeat()
            number += 1
            size = size or display_size(frame)
            _check_shape(Path(path), number, size, display_size(frame))
            if stamps is not None and frame.pts is not None:
                number = int(np.searchsorted(stamps, frame.pts))
            yield number, frame


def _check_shape(path: Path, number: int, first: tuple[int, int], now: tuple[int, int]) -> None:
    """Frames are scaled to the size of the first, which would squash those of another shape."""
    wide, narrow = first[1] * now[0], first[0] * now[1]
    if abs(wide - narrow) <= SAME_SHAPE * wide:
        return
    raise DecodeError(
        path,
        f"frame {number} is a picture of {now[1]} x {now[0]} pixels, the first one of {first[1]} x "
        f"{first[0]}: cut the video where its shape changes",
    )


def frames_at(
    path: str | Path, indices: Indices, stamps: Indices | None = None
) -> Iterator[VideoFrame]:
    """Frames at ``indices`` (never falling) out of ``numbered_frames``, in constant memory.

    Raises DecodeError where a frame is lost, or the file ends too early.
    """
    position = 0
    for number, frame in numbered_frames(path, stamps):
        if number > indices[position]:
            break
        while indices[position] == number:
            yield frame
            position += 1
            if position == len(indices):
                return
    reason = f"frame {indices[position]} cannot be decoded: the file is damaged or too short"
    raise DecodeError(path, reason)


def _seek_frames(
    container: InputContainer, stream: VideoStream, index: _Index, indices: Indices
) -> Iterator[VideoFrame]:
    """Frames at ``indices`` (rising), each recognised by its timestamp; stops early when in doubt.

    Runs of indices without a whole group of pictures between them are decoded in one go.
    """
    if indices[-1] >= len(index.stamps):
        return
    wanted = np.array(index.stamps)[indices]
    group = np.searchsorted(index.keys, wanted, side="right") - 1
    if group[0] < 0:
        return
    for run in np.split(np.arange(len(indices)), np.flatnonzero(np.diff(group) > 1) + 1):
        if not seek(container, stream, index.keys[group[run[0]]]):
            return
        position = run[0]
        for frame in decoded(container, stream):
            if frame.pts is None or frame.is_corrupt or frame.pts > wanted[position]:
                return
            if frame.pts == wanted[position]:
                yield frame
                position += 1
                if position > run[-1]:
                    break
        if position <= run[-1]:
            return
