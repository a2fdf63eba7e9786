"""The base class of all configuration: frozen, and it refuses keys it does not know."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A group of settings, immutable once validated; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
