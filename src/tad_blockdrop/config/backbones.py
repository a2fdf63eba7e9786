"""The kinds of backbone: transformers whose blocks keep the shape of what goes through them."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Variant
from tad_blockdrop.config.timm_models import timm_model

PRETRAINED = "pretrained"  # in the place of a path of weights: those that timm downloads
NEEDS_TRANSFORMERS = (
    "a backbone of kind vjepa2 needs the package transformers, version 5 or later: "
    "`pip install -e '.[vjepa2]'` in the project's folder"
)


@dataclass(frozen=True)
class Geometry:
    """What others must know of a backbone before it exists.

    Tokens have ``width`` channels. Clips of ``clip_frames`` frames are encoded independently and
    give ``slices`` steps of ``feature_width`` channels each; ``patch`` is the side of a patch in
    pixels, ``prefix_tokens`` are those that stand for no place (class token, registers).
    """

    width: int
    depth: int
    clip_frames: int
    slices: int
    patch: int
    feature_width: int
    prefix_tokens: int = 0

    def tokens(self, crop: int) -> int:
        """Tokens that attend to each other in a clip of frames of ``crop`` pixels a side."""
        return self.slices * (crop // self.patch) ** 2 + self.prefix_tokens


class BackboneConfig(Variant):
    """What all kinds share. ``weights``: where a new backbone's weights come from."""

    training_keys: ClassVar = ("drop_path", "checkpointing")
    weights: str | None = Field(None, description="a file or folder; none: random")
    drop_path: float = Field(0.1, ge=0, lt=1)
    checkpointing: bool = Field(
        False, description="recompute block activations in the backward pass to save memory"
    )

    @property
    def geometry(self) -> Geometry:
        """Sizes of the backbone."""
        raise NotImplementedError


class ClipConfig(BackboneConfig):
    """What the kinds share that encode clips of ``clip_frames`` frames in tubelets."""

    width: int = Field(384, ge=8, le=16384)
    depth: int = Field(12, ge=1, le=1000)
    heads: int = Field(6, ge=1)
    mlp_ratio: float = Field(4.0, gt=0, le=64)
    patch: int = Field(16, ge=2, le=1024)
    tubelet: int = Field(2, ge=1)
    clip_frames: int = Field(16, ge=2, le=1024)

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        self.refuse_remainder("width", "heads")
        self.refuse_remainder("clip_frames", "tubelet")
        return self

    @property
    def geometry(self) -> Geometry:
        """Sizes of the backbone."""
        return Geometry(
            width=self.width,
            depth=self.depth,
            clip_frames=self.clip_frames,
            slices=self.clip_frames // self.tubelet,
            patch=self.patch,
            feature_width=self.width,
        )


class VideoMAEConfig(ClipConfig):
    """A VideoMAE vision transformer; the defaults are those of S."""

    kind: Literal["videomae"] = "videomae"
    pretrain_size: int = Field(
        224, ge=16, le=1024, description="pixels; the positions' native grid"
    )
    remove_clip_mean: bool = Field(
        False, description="learning aid: subtract each clip's temporal mean from its frames"
    )

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        self.refuse_remainder("pretrain_size", "patch")
        return self


class VJEPA2Config(ClipConfig):
    """A V-JEPA 2 encoder; the defaults are those of L.

    H has width 1280 and depth 32; g has width 1408, depth 40, heads 22 and mlp_ratio
    4.363636363636363. All were trained on clips of 64 frames.
    """

    kind: Literal["vjepa2"] = "vjepa2"
    width: int = Field(1024, ge=8, le=16384)
    depth: int = Field(24, ge=1, le=1000)
    heads: int = Field(16, ge=1)
    clip_frames: int = Field(64, ge=1, le=1024)
    drop_path: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if find_spec("transformers") is None:
            raise ValueError(NEEDS_TRANSFORMERS)
        if self.width // self.heads < 6:
            raise ValueError(
                f"width {self.width} is too little for {self.heads} heads: the positions in time, "
                "row and column take 6 channels of each"
            )
        return self


class TimmConfig(BackboneConfig):
    """A plain vision transformer of timm (https://timm.fast.ai), applied to every frame alone.

    ``pool`` makes a frame's tokens one feature: the mean of its patches, the class token, or both
    joined. ``weights`` may be ``pretrained``: those that timm downloads.
    """

    kind: Literal["timm"] = "timm"
    model: str = Field(description="its name in timm: vit_small_patch14_dinov2 for instance")
    pool: Literal["mean", "class", "both"] = "mean"
    drop_path: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not timm_model(self.model).has_class_token and self.pool != "mean":
            raise ValueError(f"timm's {self.model} has no class token: pool must be mean")
        return self

    @property
    def geometry(self) -> Geometry:
        """Sizes of the backbone: a clip is one frame and gives one step in time."""
        model = timm_model(self.model)
        return Geometry(
            width=model.width,
            depth=model.depth,
            clip_frames=1,
            slices=1,
            patch=model.patch,
            feature_width=model.width * (2 if self.pool == "both" else 1),
            prefix_tokens=model.prefix_tokens,
        )
