"""The architecture of the detector: backbone, neck, head (docs/method.md §2.1-2.3)."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationInfo, model_validator

from tad_blockdrop.config.backbones import BackboneConfig, VideoMAEConfig
from tad_blockdrop.config.base import Config, Range, Variant


def _odd(value: int, info: ValidationInfo) -> int:
    if value % 2 == 0:
        raise ValueError(f"{info.field_name} must be odd, not {value}")
    return value


Odd = Annotated[int, AfterValidator(_odd)]


class NeckConfig(Variant):
    """From features on the grid to a pyramid of maps: a projection, then one map a level."""

    width: int = Field(512, ge=4, le=16384)
    embed_layers: int = Field(2, ge=1, le=64)
    embed_kernel: Odd = Field(3, ge=1, le=999)
    levels: int = Field(6, ge=1, le=16)


class AttentionNeckConfig(NeckConfig):
    """ActionFormer's projection and neck: a transformer block a level."""

    training_keys: ClassVar = ("drop_path",)
    kind: Literal["attention"] = "attention"
    heads: int = Field(4, ge=1)
    stem_blocks: int = Field(2, ge=0, le=64)
    attention_window: Odd = Field(-1, ge=-1, description="-1: global, else an odd local window")
    positions: bool = False
    drop_path: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        self.refuse_remainder("width", "heads")
        return self


class MaxNeckConfig(NeckConfig):
    """TemporalMaxer's neck: max pooling from level to level, nothing learned there."""

    kind: Literal["max"] = "max"


def doubling_ranges(levels: int) -> tuple[tuple[int, int], ...]:
    """ActionFormer's regression ranges: 4 steps on the finest level, doubling, open at the end."""
    lowest = [0, *(4 * 2**level for level in range(levels - 1))]
    return tuple(pairwise([*lowest, max(10000, 2 * lowest[-1])]))


class HeadConfig(Variant):
    """The points of all levels, their targets and losses; kinds differ in the network."""

    training_keys: ClassVar = (
        "centre_radius", "focal_alpha", "focal_gamma", "loss_normaliser",
        "loss_normaliser_momentum", "regression_weight", "label_smoothing",
    )  # fmt: skip
    ranges: tuple[Range, ...] = doubling_ranges(6)
    centre_radius: float = Field(1.5, gt=0, description="in strides")
    focal_alpha: float = Field(0.25, ge=0, le=1)
    focal_gamma: float = Field(2.0, ge=0)
    loss_normaliser: float = Field(100.0, gt=0, description="initial EMA of positives")
    loss_normaliser_momentum: float = Field(0.9, ge=0, lt=1)
    regression_weight: float = Field(1.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class AnchorFreeConfig(HeadConfig):
    """ActionFormer's anchor-free head, shared over levels."""

    kind: Literal["anchor_free"] = "anchor_free"
    tower_layers: int = Field(2, ge=0, le=64)
    kernel: Odd = Field(3, ge=1, le=999)
    prior: float = Field(0.01, gt=0, lt=1)


class DetectorConfig(Config):
    """One class of detector serves as teacher, student, candidate and export."""

    backbone: SerializeAsAny[BackboneConfig] = VideoMAEConfig()
    pyramid: SerializeAsAny[NeckConfig] = AttentionNeckConfig()
    head: SerializeAsAny[HeadConfig] = AnchorFreeConfig()

    def for_training(self, asked: "DetectorConfig") -> Self:
        """The same detector, with the ``training_keys`` of its parts as in ``asked``."""
        parts = {
            name: getattr(self, name).for_training(getattr(asked, name))
            for name in type(self).model_fields
        }
        return self.model_copy(update=parts)

    @model_validator(mode="after")
    def _levels(self) -> Self:
        if len(self.head.ranges) != self.pyramid.levels:
            raise ValueError(
                f"head.ranges has {len(self.head.ranges)} entries for "
                f"{self.pyramid.levels} pyramid levels; give one [low, high] per level"
            )
        return self
