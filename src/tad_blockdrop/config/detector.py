"""The architecture of the detector: backbone, feature pyramid, head (docs/method.md §2.1-2.3)."""

from typing import Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config


class BackboneConfig(Config):
    """A VideoMAE vision transformer, applied to clips of ``clip_frames`` frames."""

    width: int = Field(384, ge=8, le=16384)
    depth: int = Field(12, ge=1, le=1000)
    heads: int = Field(6, ge=1)
    mlp_ratio: float = Field(4.0, gt=0, le=64)
    patch: int = Field(16, ge=2, le=1024)
    tubelet: int = Field(2, ge=1)
    clip_frames: int = Field(16, ge=2, le=1024)
    pretrain_size: int = Field(
        224, ge=16, le=1024, description="pixels; the positions' native grid"
    )
    drop_path: float = Field(0.1, ge=0, lt=1)
    remove_clip_mean: bool = Field(
        False, description="learning aid: subtract each clip's temporal mean from its frames"
    )
    checkpointing: bool = Field(
        False, description="recompute block activations in the backward pass to save memory"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.clip_frames % self.tubelet:
            raise ValueError(
                f"clip_frames {self.clip_frames} is not a multiple of tubelet {self.tubelet}"
            )
        if self.pretrain_size % self.patch:
            raise ValueError(
                f"pretrain_size {self.pretrain_size} is not a multiple of patch {self.patch}"
            )
        return self


class PyramidConfig(Config):
    """ActionFormer's projection and neck."""

    width: int = Field(512, ge=4, le=16384)
    heads: int = Field(4, ge=1)
    embed_layers: int = Field(2, ge=1, le=64)
    embed_kernel: int = Field(3, ge=1, le=999)
    stem_blocks: int = Field(2, ge=0, le=64)
    levels: int = Field(6, ge=1, le=16)
    attention_window: int = Field(-1, ge=-1, description="-1: global, else an odd local window")
    positions: bool = False
    drop_path: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.attention_window != -1 and self.attention_window % 2 == 0:
            raise ValueError(f"attention_window must be odd or -1, not {self.attention_window}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.embed_kernel % 2 == 0:
            raise ValueError(f"embed_kernel must be odd, not {self.embed_kernel}")
        return self


class HeadConfig(Config):
    """The anchor-free head shared over levels, with its target assignment and losses."""

    tower_layers: int = Field(2, ge=0, le=64)
    kernel: int = Field(3, ge=1, le=999)
    prior: float = Field(0.01, gt=0, lt=1)
    ranges: tuple[tuple[float, float], ...] = (
        (0, 4),
        (4, 8),
        (8, 16),
        (16, 32),
        (32, 64),
        (64, 10000),
    )
    centre_radius: float = Field(1.5, gt=0, description="in strides")
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    loss_normaliser: float = Field(100.0, gt=0, description="initial EMA of positives")
    loss_normaliser_momentum: float = Field(0.9, ge=0, lt=1)
    regression_weight: float = Field(1.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"head.kernel must be odd, not {self.kernel}")
        return self


class DetectorConfig(Config):
    """One class of detector serves as teacher, student, candidate and export."""

    backbone: BackboneConfig = BackboneConfig()
    pyramid: PyramidConfig = PyramidConfig()
    head: HeadConfig = HeadConfig()

    @model_validator(mode="after")
    def _levels(self) -> Self:
        if len(self.head.ranges) != self.pyramid.levels:
            raise ValueError(
                f"head.ranges has {len(self.head.ranges)} entries for "
                f"{self.pyramid.levels} pyramid levels; give one [low, high] per level"
            )
        return self
