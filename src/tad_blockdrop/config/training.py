"""How models are trained: device, optimiser, schedule, LoRA, baseline."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config

Beta = Annotated[float, Field(ge=0, lt=1)]


class RuntimeConfig(Config):
    """Where and how the work runs. Speed, not meaning; ``precision`` also rounds results."""

    seed: int = Field(0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        1, description="GPUs, or processes on a CPU; auto: all GPUs, or 1 on a CPU"
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="who starts the processes of several devices"
    )
    address: str | None = Field(
        None, description="host:port of a Ray cluster, or auto; none: one on this machine"
    )
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    threads: int | None = Field(None, ge=1, description="CPU threads of the model; none: all")
    workers: int = Field(1, ge=0, description="processes that read windows for a device")
    decode_timeout: float = Field(120.0, gt=0, description="seconds before a video is given up")

    @model_validator(mode="after")
    def _engine(self) -> Self:
        if self.engine == "ray" and self.devices == 1:
            raise ValueError("engine 'ray' shares nothing with devices: 1; say how many, or auto")
        if self.engine != "ray" and self.address is not None:
            raise ValueError("address belongs to engine: ray")
        return self


class LoraSettings(Config):
    """Low-rank adaptation of the ``targets`` in every block (docs/method.md §3)."""

    rank: int | None = Field(None, ge=1, description="none: a quarter of the width")
    scaling: float = Field(1.0, gt=0, description="alpha / rank")
    targets: tuple[Literal["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"], ...] = Field(
        ("attn.qkv", "attn.proj"), min_length=1, description="layers of a block that get a LoRA"
    )
    embedding: bool = Field(True, description="whether the embedding trains too, as published")


class TrainConfig(Config):
    """One training run: of the baseline, an alignment, or a round of ``learn``."""

    epochs: float = Field(60, gt=0, description="epochs that the cosine schedule spans")
    stop: int = Field(60, ge=1, description="epochs really trained, at most ``epochs``")
    warmup: float = Field(5, ge=0, description="epochs of linear warm-up")
    batch: int = Field(2, ge=1)
    accumulate: int = Field(1, ge=1)
    lr_backbone: float = Field(5e-5, gt=0)
    lr_detector: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    keep: Literal["best", "last"] = Field(
        "best", description="epoch whose averaged weights are kept; nothing held out: the last"
    )
    rate_every: int = Field(
        1, ge=1, description="epochs between ratings on held-out videos, counted from the last"
    )
    tuning: Literal["lora", "full", "frozen"] = "lora"
    lora: LoraSettings = LoraSettings()

    @model_validator(mode="after")
    def _stop(self) -> Self:
        if self.stop > self.epochs:
            raise ValueError(f"stop ({self.stop}) is later than the schedule's end ({self.epochs})")
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup ({self.warmup}) leaves nothing of {self.epochs} epochs")
        return self

    def rates(self, epoch: int) -> bool:
        """Whether ``epoch`` (from 1) is rated on held-out videos, where there are any."""
        return self.keep == "best" and (self.stop - epoch) % self.rate_every == 0

    @property
    def ratings(self) -> int:
        """How many epochs are rated."""
        return sum(self.rates(epoch) for epoch in range(1, self.stop + 1))


class LearningAids(Config):
    """What learning from scratch needs, on real videos too, and pre-trained weights do not."""

    dct_patch_init: bool = Field(False, description="low-frequency patch-embedding initialisation")
    xavier_init: bool = Field(False, description="Xavier initialisation of the blocks")
    dense_loss: float = Field(0.0, ge=0, description="weight of a per-step classification loss")


class BaselineConfig(Config):
    """The uncompressed model: trained here or taken from a checkpoint."""

    source: Literal["train", "checkpoint"] = "train"
    checkpoint: str | None = Field(None, description="path; with source: checkpoint")
    backbone_weights: str | None = Field(None, description="path of pre-trained weights")
    train: TrainConfig = TrainConfig()
    aids: LearningAids = LearningAids()

    @model_validator(mode="after")
    def _source(self) -> Self:
        if self.source == "checkpoint" and not self.checkpoint:
            raise ValueError("baseline.source is 'checkpoint': set baseline.checkpoint to its path")
        return self
