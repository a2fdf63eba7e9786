"""The frames of a window out of the file that holds them."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.windows.cutting import VideoRecord, Window


def read_window(record: VideoRecord, window: Window, keep: bool = False) -> Tensor:
    """The frames of a window as they are in the file, uint8 (T, H, W, 3).

    With ``keep`` the whole video is decoded the first time and stays in this process's memory.

    Raises DecodeError that names the file, the video and the samples.
    """
    try:
        indices = record.frames_of(window.samples)
        if keep:
            last = int(record.frames_of(np.array([record.n_samples - 1]))[0])
            stamp = Path(record.path).stat().st_mtime_ns
            frames = _whole_video(record.path, stamp, last + 1)[indices]
        else:
            frames = read_frames(record.path, indices)
    except DecodeError as error:
        first, last = window.samples[0], window.samples[-1]
        reason = f"{error.reason} (video '{record.video_id}', samples {first} to {last})"
        raise DecodeError(error.path, reason) from error
    return torch.from_numpy(frames)


@cache
def _whole_video(path: str, stamp: int, count: int) -> NDArray[np.uint8]:
    """The first ``count`` frames (count, H, W, 3); ``stamp`` tells files of one name apart."""
    return read_frames(path, np.arange(count))
