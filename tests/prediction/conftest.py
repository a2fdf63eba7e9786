"""A tiny detector with strong opinions, and videos of every kind to show it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from opinions import opinionated

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import weights_of

CLASSES = ("run", "jump", "swim")
DETECTOR = DetectorConfig.model_validate(
    {
        "backbone": {"width": 24, "depth": 3, "heads": 3, "patch": 8, "clip_frames": 8},
        "pyramid": {"width": 16, "heads": 2, "levels": 2, "stem_blocks": 0},
        "head": {"ranges": [[0, 4], [4, 10000]]},
    }
)
WINDOW = WindowConfig.model_validate(
    {"frames": 16, "grid": 8, "crop": 16, "short_side": 18, "overlap": 0.5}
)


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Two of three blocks, three classes, every frame of the video."""
    model = opinionated(DETECTOR, len(CLASSES), WINDOW, (0, 2), spread=0.1)
    return Checkpoint(
        weights=weights_of(model),
        detector=DETECTOR,
        kept_blocks=(0, 2),
        classes=CLASSES,
        window=WINDOW,
        every=1,
        fps=None,
        postprocess=PostprocessConfig(min_score=0.01, max_detections=200),
        lineage={"family": "progressive", "step": 1, "dataset": "toys", "skipped": None},
    )


WriteVideo = Callable[..., Path]


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """Writes moving patterns; ``stamps``, in hundredths of a second, make the rate variable."""

    def write(
        name: str = "video.mp4",
        length: int = 60,
        codec: str = "libx264",
        size: tuple[int, int] = (24, 32),
        stamps: Sequence[int] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(length)
        coarse = rng.integers(0, 256, (-(-size[0] // 4), -(-size[1] // 4), 3))
        base = coarse.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]].astype(np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.height, stream.width = size
            stream.pix_fmt = "yuv420p"
            if stamps is not None:
                stream.codec_context.time_base = Fraction(1, 100)
            for i in range(length):
                picture = np.roll(base, 2 * i, axis=1) if i % 20 < 10 else 255 - base
                frame = VideoFrame.from_ndarray(picture, format="rgb24")
                if stamps is not None:
                    frame.pts, frame.time_base = stamps[i], Fraction(1, 100)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write
