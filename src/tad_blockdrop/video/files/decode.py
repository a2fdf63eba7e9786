"""Random access to the frames of a video.

Two decoders behind one function. decord is fast with scattered frames, but takes the i-th packet
for the i-th frame and trusts every key frame: from files with open groups of pictures, intra
refresh or packed frames it silently returns neighbouring frames. So it only reads the proxies that
this project wrote, which have none of these; PyAV reads everything else, and proxies where decord
has no wheel.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.video.files.container import (
    DecodeError,
    Pixels,
    decoded,
    display_size,
    open_video,
    upright,
)
from tad_blockdrop.video.files.guarded_processes import heartbeat
from tad_blockdrop.video.files.probe import packets_are_frames, read_packets, seek
from tad_blockdrop.video.files.sampling import Indices

# In the metadata of every file that decord may read: H.264, one packet a frame, no reordering,
# every key frame a clean start.
PROXY_MARK = "tad_blockdrop proxy"


def read_frames(path: str | Path, indices: npt.ArrayLike) -> Pixels:
    """Frames (n, H, W, 3) uint8 RGB, upright, in the order of ``indices`` (n,); repeats allowed.

    All have the size of the first. The file is closed on return, whatever happens. Raises
    DecodeError, also for a frame beyond the end.
    """
    wanted = np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1 or wanted.size == 0 or wanted.min() < 0:
        raise ValueError(f"frame indices must be a non-empty list of numbers >= 0, not {wanted}")
    unique, positions = np.unique(wanted, return_inverse=True)
    with open_video(path) as (container, _):
        is_proxy = container.metadata.get("comment") == PROXY_MARK
    frames = _read_decord(Path(path), unique) if is_proxy else None
    if frames is None:
        frames = _read_pyav(Path(path), unique)
    # Most windows ask in order, and then need no other copy of all pixels.
    return frames if np.array_equal(unique, wanted) else frames[positions]


def _read_decord(path: Path, indices: Indices) -> Pixels | None:
    """Frames by decord, or None where it is not installed or fails (PyAV then says why)."""
    try:
        import decord
    except ImportError:
        return None
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        if indices[-1] >= len(reader):
            return None
        return np.ascontiguousarray(reader.get_batch(indices).asnumpy())
    except (decord.DECORDError, RuntimeError):
        return None


def _read_pyav(path: Path, indices: Indices) -> Pixels:
    """Frames at ``indices`` (rising) by seeking, or from the start where seeking is not exact."""
    with open_video(path) as (container, stream):
        pixels = _pixels(_seek_frames(path, container, stream, indices), len(indices))
    if len(pixels) < len(indices):
        pixels = _pixels(frames_at(path, indices), len(indices))
    return pixels


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
    it. Raises DecodeError.
    """
    with open_video(path) as (container, stream):
        number = -1
        for frame in decoded(container, stream):
            heartbeat()
            number += 1
            if stamps is not None and frame.pts is not None:
                number = int(np.searchsorted(stamps, frame.pts))
            yield number, frame


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
    path: Path, container: InputContainer, stream: VideoStream, indices: Indices
) -> Iterator[VideoFrame]:
    """Frames at ``indices`` (rising), each recognised by its timestamp; stops early when in doubt.

    Runs of indices without a whole group of pictures between them are decoded in one go.
    """
    packets = read_packets(path, container, stream)
    stamps = packets.ordered()
    if stamps is None or indices[-1] >= len(stamps) or not packets_are_frames(container, stream):
        return
    wanted = np.array(stamps)[indices]
    group = np.searchsorted(packets.keys, wanted, side="right") - 1
    if group[0] < 0:
        return
    for run in np.split(np.arange(len(indices)), np.flatnonzero(np.diff(group) > 1) + 1):
        if not seek(container, stream, packets.keys[group[run[0]]]):
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
