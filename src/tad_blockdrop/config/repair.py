"""Repair in closed form (docs/method.md §4.5): which layers are refitted, on what."""

from typing import Any, Literal

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config


class RepairConfig(Config):
    """The repair after a drop; ``compress.repair: all`` is short for ``{layers: all}``."""

    layers: Literal["none", "gap", "all"] = Field(
        "none", description="none, the block before each hole, all blocks from the first hole on"
    )
    ridge: tuple[float, ...] = Field(
        (1e-4, 1e-3, 1e-2, 1e-1),
        min_length=1,
        description="tried; the last fifth of the clips chooses",
    )
    videos: int | None = Field(
        100, ge=1, description="training videos for a drop; none: all; rankings: score_videos"
    )
    windows: int | None = Field(
        256, ge=1, description="test-time windows of them; none: all, as in rankings"
    )
    clips: int = Field(1024, ge=2, description="clips of these windows")
    tokens: int = Field(65536, ge=2, description="tokens of these clips that a layer is fitted on")
    donors: int = Field(
        2, ge=0, description="dropped blocks whose heads and channels the block before may take"
    )
    read_out: bool = Field(True, description="neck and head too, after the blocks")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"layers": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _positive(self) -> "RepairConfig":
        if min(self.ridge) <= 0:
            raise ValueError("ridge must hold positive numbers, such as [1.0e-3, 1.0e-2]")
        return self
