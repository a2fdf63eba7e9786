"""Weights from elsewhere: what the pipeline ``import_weights`` reads."""

from pydantic import Field

from tad_blockdrop.config.base import Config


class ImportWeightsConfig(Config):
    """A public weights file to turn into a checkpoint."""

    path: str | None = Field(None, description="weights file, or folder of a transformers model")
