"""Small datasets as users have them: video files, and annotations in the usual layouts."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

FPS = 10


def write_video(
    path: Path,
    seconds: float = 2.0,
    fps: int | Fraction = FPS,
    size: tuple[int, int] = (32, 24),
) -> Path:
    """A grey H.264 video of ``size`` (width, height) that gets brighter from frame to frame.

    Files of different names differ, as they hold their name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = path.name
        stream = container.add_stream("libx264", rate=fps)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for number in range(round(seconds * fps)):
            pixels = np.full((*size[::-1], 3), 8 * number % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, frame: int) -> None:
    """Blank the data of one frame of a video in its file."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        position, size = packets[frame].pos, packets[frame].size
    assert position is not None
    content = bytearray(path.read_bytes())
    content[position : position + size] = bytes(size)
    path.write_bytes(content)


def video(subset: str, *actions: tuple[str, float, float], **stated: Any) -> dict[str, Any]:
    """An entry of the ActivityNet layout."""
    annotations = [{"label": label, "segment": [start, end]} for label, start, end in actions]
    return {"subset": subset, "annotations": annotations, **stated}


def database(**videos: dict[str, Any]) -> dict[str, Any]:
    """Annotations in the ActivityNet layout."""
    return {"database": videos}
