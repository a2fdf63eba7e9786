"""What the detector sees: videos, annotations, sampling, proxies, windows, augmentation."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config, PositiveRange, ShareRange

Share = float
Clock = Literal["player", "frames"]  # video/files/clock.py says what each means


class SyntheticConfig(Config):
    """The generated benchmark (``synthetic/``): size and seed; the look is fixed in code."""

    seed: int = Field(0, ge=0)
    classes: int = Field(8, ge=2, le=8)
    training_videos: int = Field(160, ge=2)
    validation_videos: int = Field(100, ge=1)
    mean_frames: int = Field(256, ge=32, description="mean length of a video, frames")
    frame_size: int = Field(40, ge=16, multiple_of=2, description="side of a frame, pixels")
    min_instance_frames: int = Field(14, ge=4)
    max_instance_frames: int = Field(60, ge=8)

    @model_validator(mode="after")
    def _instance_range(self) -> Self:
        if self.min_instance_frames >= self.max_instance_frames:
            raise ValueError(
                "min_instance_frames must be below max_instance_frames: "
                f"{self.min_instance_frames} >= {self.max_instance_frames}"
            )
        return self


class ProxyConfig(Config):
    """Frame extraction: sampled frames, re-encoded small for random access."""

    store: Literal["h264", "jpeg"] = "h264"
    short_side: int = Field(182, ge=16, description="pixels; aspect ratio is kept")
    gop: int = Field(16, ge=1, description="h264: key frame every that many frames")
    crf: int = Field(18, ge=0, le=51, description="h264: quality, 0 lossless, 51 worst")
    quality: int = Field(90, ge=1, le=100, description="jpeg: quality, 100 best")

    @property
    def recipe(self) -> str:
        """As JSON all that changes the bytes of a proxy. Those from before JPEG name no store."""
        keys = {"h264": {"short_side", "gop", "crf"}, "jpeg": {"store", "short_side", "quality"}}
        return self.model_dump_json(include=keys[self.store])


class WindowConfig(Config):
    """How a video is cut into what one forward pass sees (docs/method.md §2.5).

    ``frames`` sampled frames become ``grid`` steps of the feature grid.
    ``sliding``: fixed-rate windows with overlap. ``resize``: the whole video becomes one window.
    """

    kind: Literal["sliding", "resize"] = "sliding"
    frames: int = Field(768, ge=16, le=1_000_000)
    grid: int = Field(768, ge=2, le=100_000)
    crop: int = Field(160, ge=16, le=1024, description="side of the square input, pixels")
    short_side: int = Field(
        160, ge=16, le=4096, description="test-time short side before the centre crop"
    )
    overlap: Share = Field(0.5, ge=0, lt=1, description="of test windows")
    min_inside: Share = Field(0.75, gt=0, le=1, description="share of an action a window must hold")
    short_video_crop: ShareRange = (0.9, 1.0)
    min_instance_share: Share = Field(
        0.0, ge=0, lt=1, description="training drops instances up to this share of the video"
    )
    per_video: int = Field(1, ge=1, description="random training windows per video and epoch")

    @model_validator(mode="after")
    def _whole_grid(self) -> Self:
        if self.frames % self.grid:
            raise ValueError(
                f"window.frames ({self.frames}) must be a multiple of window.grid ({self.grid})"
            )
        if self.crop > self.short_side:
            raise ValueError(
                f"window.crop ({self.crop}) does not fit in window.short_side ({self.short_side})"
            )
        return self

    @property
    def kept(self) -> int | None:
        """How many samples of a video are ever looked at, evenly spaced; none: all of them."""
        return self.frames if self.kind == "resize" else None

    @property
    def frames_per_step(self) -> int:
        """Sampled frames per step of the feature grid."""
        return self.frames // self.grid


class AugmentConfig(Config):
    """Training augmentation; one draw per window, the same for all its frames."""

    crop_scale: ShareRange = (0.08, 1.0)
    crop_ratio: PositiveRange = (0.75, 4 / 3)
    flip: Share = Field(0.5, ge=0, le=1)
    colour_jitter: float = Field(0.4, ge=0, le=1)
    policy_ops: int = Field(2, ge=0, description="light geometric/colour operations per window")
    policy_magnitude: int = Field(9, ge=0, le=30)


class ReadingConfig(Config):
    """What files of annotation tools leave open (docs/annotation-formats.md)."""

    point_seconds: float = Field(1.0, gt=0, description="length given to events without one")
    labels: str | None = Field(
        None, description="of several tiers, attributes or columns the one that names actions"
    )
    frame_rate: float | None = Field(
        None, gt=0, description="frames per second of files that count frames; none: the video's"
    )


class DataConfig(Config):
    """The dataset: where it came from, how frames are sampled, what is held out."""

    source: Literal["synthetic", "files"] = "synthetic"
    name: str = Field("synthetic", pattern=r"^[A-Za-z0-9_.-]+$")
    provenance: str = Field("", description="origin and licence, written into checkpoints")
    classes_file: str | None = Field(None, description="one class a line; none: from annotations")
    training_subset: str = "training"
    evaluation_subset: str = "validation"
    evaluation_videos: tuple[str, ...] = Field(
        (), description="ids to measure on, where the annotations name no subsets"
    )
    blocked_videos: tuple[str, ...] = ()
    reading: ReadingConfig = ReadingConfig()
    class_agnostic: bool = Field(False, description="one class 'action' (ActivityNet)")
    every: int | None = Field(None, ge=1, description="sample every k-th source frame, or")
    fps: float | None = Field(None, gt=0, description="samples per second")
    # Not `player`: experiments older than this setting counted frames, and do not state it.
    clock: Clock = Field("frames", description="what the seconds of a video count from")
    picture_rate: float | None = Field(
        None, gt=0, description="pictures per second of folders of numbered pictures"
    )
    on_missing: Literal["error", "skip"] = "error"
    cache: bool = Field(False, description="keep decoded videos in memory; small datasets only")
    holdout: Share = Field(0.0, ge=0, lt=0.9)
    proxy: ProxyConfig | None = ProxyConfig()
    window: WindowConfig = WindowConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _one_sampling(self) -> Self:
        if (self.every is None) == (self.fps is None):
            raise ValueError(
                "set exactly one of data.every (each k-th source frame, as the paper does) "
                "and data.fps (samples per second, for videos of mixed frame rates); "
                "set the other to null"
            )
        return self
