"""Random access to the frames of a video: decord where it can be trusted, PyAV everywhere else.

decord finds frame i as the i-th packet, which is right only for codecs that show one frame per
packet, and it leaks memory while a reader lives; so each call opens a reader and releases it.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tad_blockdrop.video.container import DecodeError, Pixels, display_size, open_video, upright
from tad_blockdrop.video.probe import PACKET_IS_FRAME, codec_name, timeline
from tad_blockdrop.video.sampling import Indices, source_indices, source_indices_at

Size = tuple[int, int]

# decord copies rows that the decoder padded, and gets the shape of tiny frames wrong.
MIN_DECORD_SIDE = 16


def read_frames(path: str | Path, indices: npt.ArrayLike, size: Size | None = None) -> Pixels:
    """Frames (n, H, W, 3) uint8 RGB, upright, in the order of ``indices`` (n,); repeats allowed.

    ``size``: (height, width) to scale to. Raises DecodeError, also for a frame beyond the end.
    """
    wanted = np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1 or wanted.size == 0 or wanted.min() < 0:
        raise ValueError(f"frame indices must be a non-empty list of numbers >= 0, not {indices}")
    unique, positions = np.unique(wanted, return_inverse=True)
    frames = _read_decord(Path(path), unique, size) if _decord_fits(path) else None
    if frames is None:
        frames = _read_pyav(Path(path), unique, size)
    return frames[positions]


def read_samples(
    path: str | Path,
    samples: npt.ArrayLike,
    rate: float,
    file_rate: float,
    size: Size | None = None,
) -> Pixels:
    """The frames shown at second ``samples / rate``, as ``read_frames`` gives them.

    ``file_rate``: the constant frame rate of the file (a proxy's is ``rate``), or NaN where it
    varies and the timestamps decide.
    """
    wanted = np.asarray(samples, dtype=np.int64)
    if np.isnan(file_rate):
        times = timeline(path)
        return read_frames(path, source_indices_at(wanted, times.times, rate, times.tick), size)
    last = np.iinfo(np.int64).max
    return read_frames(path, source_indices(wanted, last, file_rate, rate), size)


def _decord_fits(path: str | Path) -> bool:
    with open_video(path) as (_, stream):
        context = stream.codec_context
        small = min(context.width, context.height) < MIN_DECORD_SIDE
        return not small and codec_name(stream) in PACKET_IS_FRAME


def _read_decord(path: Path, indices: Indices, size: Size | None) -> Pixels | None:
    """Frames by decord, or None where it cannot open the file or misreads its timestamps."""
    try:
        import decord
    except ImportError:  # no wheel for this platform
        return None
    height, width = size or (-1, -1)
    try:
        reader = decord.VideoReader(str(path), width=width, height=height, num_threads=1)
        if indices[-1] >= len(reader):
            return None
        starts = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0]
        if starts[0] < 0 or (len(starts) > 1 and np.diff(starts).min() <= 0):
            return None
        return np.ascontiguousarray(reader.get_batch(indices).asnumpy())
    except (decord.DECORDError, RuntimeError):
        return None


def _read_pyav(path: Path, indices: Indices, size: Size | None) -> Pixels:
    line = timeline(path)
    count = len(line.times)
    if indices[-1] >= count:
        raise DecodeError(path, f"frame {indices[-1]} was asked for, it holds {count}")
    frames: list[Pixels] = []
    with open_video(path) as (container, stream):
        number = 0
        if line.stamps is not None:
            container.seek(int(line.stamps[indices[0]]), stream=stream)
        for frame in container.decode(stream):
            if line.stamps is not None:
                number = int(np.searchsorted(line.stamps, frame.pts))
            while len(frames) < len(indices) and indices[len(frames)] == number:
                size = size or display_size(frame)
                frames.append(upright(frame, size))
            number += 1
            if len(frames) == len(indices):
                return np.stack(frames)
    raise DecodeError(path, f"it is damaged: frame {indices[len(frames)]} cannot be decoded")
