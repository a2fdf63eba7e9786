"""Using a finished model: detections on any videos, and files for other programs."""

from typing import Literal

from pydantic import Field

from tad_blockdrop.config.base import Config

# The last eight are files of other tools: the keys of video.annotations.WRITERS.
Format = Literal[
    "csv", "activitynet",
    "boris", "elan", "label_studio", "audacity", "srt", "vtt", "frames", "fiftyone",
]  # fmt: skip


class PredictConfig(Config):
    """Which videos to run, with what, and what to keep of the detections."""

    videos: str | None = Field(
        None, coerce_numbers_to_str=True, description="a video, or a folder of them"
    )
    checkpoint: str | None = Field(
        None, description="folder of a checkpoint; none: final_checkpoint of the experiment"
    )
    min_score: float | None = Field(
        None, ge=0, le=1, description="keep detections from this score; none: operating points"
    )
    draw: bool = Field(False, description="also write copies of the videos with their detections")
    batch: int = Field(1, ge=1, description="windows per forward pass")
    formats: tuple[Format, ...] = Field(
        ("csv", "activitynet"), description="what detections are written in"
    )


class ExportConfig(Config):
    """What is exported, and how it is checked and timed against PyTorch."""

    checkpoint: str | None = Field(
        None, description="folder of a checkpoint; none: final_checkpoint of the experiment"
    )
    check_videos: int = Field(8, ge=1, description="test videos that must come out the same")
    max_difference: float = Field(1e-3, gt=0, description="of logits, PyTorch against the export")
    latency_repeats: int = Field(100, ge=1, description="timed passes of each model")
