"""A video's test windows, decoded in one pass.

Only the small frames of one window are held at any moment, whatever the length of the video;
its timestamps and indices take some bytes a frame.

``read_video`` does all of it, in this process or in one of its own, so that a decoder that hangs or
crashes ends only that one. Such a process holds the next window, too.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.prediction.copies import plays_in_browser
from tad_blockdrop.video.files.clock import PLAYER, Timeline, Timing
from tad_blockdrop.video.files.container import Pixels, display_size, upright
from tad_blockdrop.video.files.decode import frames_at
from tad_blockdrop.video.files.probe import timeline
from tad_blockdrop.video.files.proxies import sampled_frames
from tad_blockdrop.video.files.sampling import Indices, Sampling
from tad_blockdrop.video.windows.augment import centre_crop
from tad_blockdrop.video.windows.batches import LoadedWindow, loaded
from tad_blockdrop.video.windows.cutting import VideoRecord, Window, test_windows

_AT_ONCE = 4  # frames resized together; of large videos each takes tens of megabytes


@dataclass(frozen=True)
class ReadingJob:
    """A video to read through, how to sample it, cut it into windows and count its seconds."""

    path: Path
    video_id: str
    sampling: Sampling
    window: WindowConfig
    timing: Timing = PLAYER


@dataclass(frozen=True, eq=False)
class VideoStream:
    """A video that is read in one pass: its record, when its frames are shown, how it is cut.

    ``plays``: whether browsers play its file.
    """

    record: VideoRecord
    line: Timeline
    window: WindowConfig
    plays: bool = False

    def windows(self) -> list[Window]:
        """The windows of the video, as evaluation cuts them."""
        return test_windows(self.record, self.window, self.window.overlap)


ReadWindow = tuple[Window, Pixels, NDArray[np.bool_]]
Reader = Callable[[ReadingJob], Generator[VideoStream | ReadWindow, None, None]]


def read_video(job: ReadingJob) -> Generator[VideoStream | ReadWindow, None, None]:
    """First the stream, then each window: frames uint8 (T, crop, crop, 3), mask bool (grid,).

    As NumPy arrays, which can be sent between processes. Raises DecodeError.
    """
    stream = open_stream(job)
    yield stream
    for cut in stream_windows(stream):
        yield cut.window, cut.frames.numpy(), cut.mask.numpy()


def read_apart(job: ReadingJob) -> Iterator[VideoStream | ReadWindow]:
    """``read_video`` for a process of its own, which leaves the cores to the model."""
    torch.set_num_threads(1)
    yield from read_video(job)


def open_stream(job: ReadingJob) -> VideoStream:
    """Read a file's timestamps and sample it.

    Raises DecodeError: missing, empty, damaged, truncated, no video.
    """
    line = timeline(job.path, job.timing)
    indices, rate = sampled_frames(line, job.sampling)
    record = VideoRecord(
        video_id=job.video_id,
        path=str(job.path),
        n_samples=len(indices),
        rate=rate,
        duration=line.duration,
        segments_seconds=np.empty((0, 2)),
        labels=np.empty(0, np.int64),
        source_indices=indices,
    )
    plays = plays_in_browser(job.path, line, job.timing)
    return VideoStream(record, line, job.window, plays)


def stream_windows(stream: VideoStream) -> Iterator[LoadedWindow]:
    """The windows of a video with their frames, in order. Raises DecodeError."""
    windows = stream.windows()
    wanted = np.unique(np.concatenate([cut.samples for cut in windows]))
    arriving = zip(wanted, _small_frames(stream, wanted), strict=True)
    held: dict[int, Tensor] = {}
    newest = -1
    for cut in windows:
        held = {sample: frame for sample, frame in held.items() if sample >= cut.samples[0]}
        while newest < cut.samples[-1]:
            newest, frame = next(arriving)
            held[int(newest)] = frame
        frames = torch.stack([held[int(sample)] for sample in cut.samples])
        yield loaded(cut, stream.window, frames)


def _small_frames(stream: VideoStream, samples: Indices) -> Iterator[Tensor]:
    """The samples (n,), rising, as frames (crop, crop, 3) uint8."""
    window = stream.window
    pixels = _source_frames(stream, stream.record.frames_of(samples))
    while chunk := list(islice(pixels, _AT_ONCE)):
        frames = torch.from_numpy(np.stack(chunk))
        yield from centre_crop(frames, window.short_side, window.crop)


def _source_frames(stream: VideoStream, indices: Indices) -> Iterator[Pixels]:
    """The frames at ``indices`` (never falling) as they are in the file, upright."""
    size: tuple[int, int] | None = None
    for frame in frames_at(stream.record.path, indices, stream.line.stamps):
        size = size or display_size(frame)
        yield upright(frame, size)
