"""Learning again from corrections: how long, from which model, and what is done with the result."""

from typing import Literal

from pydantic import Field

from tad_blockdrop.config.base import Config
from tad_blockdrop.config.training import TrainConfig


class LearnConfig(Config):
    """One round: ``baseline.train``, but shorter, gentler, and from a model that is there."""

    checkpoint: str | None = Field(
        None, description="folder of the checkpoint to start from; none: final_checkpoint"
    )
    epochs: int = Field(10, ge=1, description="epochs of the round")
    rate: float = Field(0.3, gt=0, le=1, description="share of the rates of baseline.train")
    adopt: Literal["if_not_worse", "always", "never"] = Field(
        "if_not_worse", description="when the learned model becomes final_checkpoint"
    )

    def recipe(self, train: TrainConfig) -> TrainConfig:
        """The training of the round, where ``train`` is that of the baseline.

        The last epoch is kept: held-out videos judge the model, and must not choose it as well.
        """
        return train.model_copy(
            update={
                "epochs": float(self.epochs),
                "stop": self.epochs,
                "warmup": min(train.warmup, self.epochs / 10),
                "lr_backbone": self.rate * train.lr_backbone,
                "lr_detector": self.rate * train.lr_detector,
                "keep": "last",
            }
        )
