"""Kinds of videos, and what evaluation makes of one that it reads without a proxy."""

from pathlib import Path

import numpy as np

from tad_blockdrop.video.files.probe import timeline
from tad_blockdrop.video.files.proxies import sampled_frames
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.windows.cutting import VideoRecord

KINDS: dict[str, dict] = {
    "mp4": {"name": "video.mp4"},
    "mkv": {"name": "video.mkv", "codec": "mpeg4"},
    "webm": {"name": "video.webm", "codec": "libvpx"},
    "avi": {"name": "video.avi", "codec": "mpeg4"},
    "variable": {
        "name": "video.mp4",
        "length": 40,
        "stamps": np.cumsum([0, *([5, 10, 30, 7, 9] * 8)])[:40].tolist(),
    },
    "one frame": {"name": "video.mp4", "length": 1},
}


def evaluation_record(path: Path, sampling: Sampling) -> VideoRecord:
    """The record of a source that is read directly (``data.proxy: null``)."""
    line = timeline(path)
    indices, rate = sampled_frames(line, sampling)
    return VideoRecord(
        path.stem, str(path), len(indices), rate, line.duration,
        np.empty((0, 2)), np.empty(0, np.int64), indices,
    )  # fmt: skip
