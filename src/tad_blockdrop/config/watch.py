"""Watching a live source: which one, and what is written of it."""

from typing import Literal

from pydantic import Field

from tad_blockdrop.config.predict import UseConfig


class WatchConfig(UseConfig):
    """What to watch, and for how long."""

    section = "watch"

    source: str | None = Field(
        None,
        coerce_numbers_to_str=True,
        description="number of a camera, address of a stream, or a file, which may be growing",
    )
    format: Literal["csv", "jsonl"] = Field("csv", description="of the line of each detection")
    max_delay: float | None = Field(
        None, gt=0, description="seconds from the end of a detection to its line; none: two windows"
    )
    timeout: float = Field(
        10.0, gt=0, description="seconds without a picture after which a source is lost"
    )
    reconnect: float = Field(
        600.0, ge=0, description="seconds for which a lost source is tried again; 0: not at all"
    )
    duration: float | None = Field(
        None, gt=0, description="seconds after which to stop; none: until stopped, or its end"
    )
