"""What dropping shall save, and when it is enough (docs/method.md §4.2)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config

UNITS = {"latency": "ms", "gmacs": "GMACs", "parameters": "M parameters", "memory": "MiB"}


class TargetConfig(Config):
    """A goal for one measure of a window, or the accuracy that may be lost on the way.

    One of ``share``, ``amount`` and ``loss`` is given.
    """

    measure: Literal["latency", "gmacs", "parameters", "memory"] = Field(
        "gmacs", description="what is to be saved; units are chosen by what is lost for it"
    )
    share: float | None = Field(
        None, gt=0, lt=1, description="goal, as a share of the uncompressed model's measure"
    )
    amount: float | None = Field(
        None, gt=0, description="goal: ms, 1e9 MACs, millions of parameters, or MiB"
    )
    loss: float | None = Field(
        None, ge=0, description="average mAP points that may be lost, on held-out videos"
    )
    runtime: Literal["pytorch", "onnx"] = Field(
        "pytorch", description="what runs the models whose latency is measured"
    )

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        given = [self.share, self.amount, self.loss]
        if given.count(None) != 2:
            raise ValueError("give one of share, amount and loss")
        if self.runtime == "onnx" and self.measure != "latency":
            raise ValueError("runtime is for a measure that is timed: set measure to latency")
        return self

    @property
    def unit(self) -> str:
        """What the measure is counted in."""
        return UNITS[self.measure]

    def goal(self, uncompressed: float) -> float | None:
        """The measure to reach, given that of the uncompressed model; none where loss decides."""
        return self.amount if self.share is None else self.share * uncompressed

    def reached(self, cost: float, uncompressed: float) -> str | None:
        """That ``cost`` is within the goal, in a sentence; None if not, or where loss decides."""
        goal = self.goal(uncompressed)
        if goal is not None and cost <= goal:
            return f"compress.target is reached: {cost:.4g} of {goal:.4g} {self.unit}"
        return None
