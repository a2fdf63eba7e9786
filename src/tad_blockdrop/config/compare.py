"""Comparing two finished experiments: what the pipeline ``compare`` reads."""

from typing import Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config, Experiment


class CompareConfig(Config):
    """Names of two experiments; differences are the second minus the first."""

    first: Experiment | None = Field(None, description="an experiment")
    second: Experiment | None = Field(None, description="the experiment set beside it")

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.first is not None and self.first == self.second:
            raise ValueError(f"first and second are the same experiment ('{self.first}')")
        return self
