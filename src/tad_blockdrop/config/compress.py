"""The progressive loop: scoring, dropping, alignment, when to stop (docs/method.md §4)."""

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tad_blockdrop.config.base import Config
from tad_blockdrop.config.repair import RepairConfig
from tad_blockdrop.config.target import TargetConfig
from tad_blockdrop.config.training import TrainConfig

UnitName = Literal["block", "attention", "mlp", "sublayer"]
Alignment = Literal["each", "last"]  # after which drops
UNIT_PATTERNS: dict[UnitName, tuple[str, str]] = {  # what its candidates look like
    "block": (r"\d+", "5"),
    "attention": (r"\d+\.attention", "5.attention"),
    "mlp": (r"\d+\.mlp", "5.mlp"),
    "sublayer": (r"\d+\.(attention|mlp)", "5.attention"),
}


class AlignLossConfig(Config):
    """Weights of the eight terms of the alignment loss; 0 switches a term off.

    ``aim``: the teacher's states that blocks are held against.
    """

    aim: Literal["own", "next"] | None = Field(
        None, description="of the same block, or before the next kept one; none: as repaired"
    )
    cls: float = Field(1.0, ge=0)
    reg: float = Field(1.0, ge=0)
    out: float = Field(1.0, ge=0)
    mid: float = Field(0.0, ge=0)
    out_rel: float = Field(0.0, ge=0)
    mid_rel: float = Field(0.0, ge=0)
    kd_cls: float = Field(1.0, ge=0)
    kd_reg: float = Field(1.0, ge=0)
    kd_kind: Literal["kl", "dkd", "bernoulli"] | None = Field(
        None, description="none: kl, or bernoulli where there is one class"
    )
    temperature: float = Field(3.5, gt=0)
    dkd_alpha: float = Field(1.0, ge=0)
    dkd_beta: float = Field(6.0, ge=0)
    dkd_warmup: float = Field(5.0, ge=0, description="epochs")


class StopConfig(Config):
    """Optional early end of the loop."""

    max_loss: float | None = Field(
        None, ge=0, description="average mAP points below the uncompressed model, held-out videos"
    )
    max_gmacs: float | None = Field(None, gt=0, description="target cost of one window")
    max_latency_ms: float | None = Field(None, gt=0, description="target latency of one window")


class CompressConfig(Config):
    """Progressive Block Drop."""

    n_drops: int = Field(3, ge=1)
    unit: UnitName = Field("block", description="what a step drops; sublayer: attention or MLP")
    candidates: tuple[int | str, ...] | None = Field(
        None, description="units that may be dropped, also as text: 0 3 6; none: all"
    )
    criterion: str = Field("train_map", description="a name of compression.criteria")
    score_videos: int | None = Field(None, ge=1, description="training videos used; none: all")
    look_ahead: int = Field(1, ge=1, le=2, description="blocks a ranking looks ahead")
    repair: RepairConfig = RepairConfig()
    align: Alignment | None = Field(
        "each", description="align after each drop, or only after the last; none: never"
    )
    teacher: Literal["static", "dynamic"] = "static"
    loss: AlignLossConfig = AlignLossConfig()
    first: TrainConfig = TrainConfig()
    later: TrainConfig = TrainConfig()
    target: TargetConfig | None = Field(None, description="none: n_drops units are dropped")
    stop: StopConfig = StopConfig()
    select: Literal["last", "within_tolerance"] = "last"

    @field_validator("candidates", mode="before")
    @classmethod
    def _as_list(cls, given: Any) -> Any:
        """Text, as tables list blocks and as ``--params`` can give it; a lone block is a number."""
        if isinstance(given, int | float):
            given = str(given)
        parts = given.split() if isinstance(given, str) else given
        if not isinstance(parts, list | tuple):
            return parts
        return [int(part) if part.isdecimal() else part for part in map(str, parts)]

    @model_validator(mode="after")
    def _candidates(self) -> Self:
        if self.candidates is None:
            return self
        pattern, example = UNIT_PATTERNS[self.unit]
        wrong = [str(each) for each in self.candidates if not re.fullmatch(pattern, str(each))]
        if wrong:
            raise ValueError(
                f"compress.candidates: {', '.join(wrong)} cannot be dropped with compress.unit: "
                f"{self.unit}, which drops such as {example}"
            )
        if len(set(self.candidates)) < len(self.candidates):
            raise ValueError("compress.candidates names a unit twice: leave one of them out")
        if self.n_drops > len(self.candidates):
            raise ValueError(
                f"compress.n_drops ({self.n_drops}) is more than the {len(self.candidates)} of "
                "compress.candidates: name more of them or lower compress.n_drops"
            )
        return self

    @model_validator(mode="after")
    def _select(self) -> Self:
        if self.select == "within_tolerance" and self.stop.max_loss is None:
            raise ValueError(
                "compress.select is 'within_tolerance': set compress.stop.max_loss, "
                "the average mAP points that may be lost"
            )
        return self

    @model_validator(mode="after")
    def _aligned_last(self) -> Self:
        if self.align != "last":
            return self
        if self.stop != StopConfig():
            raise ValueError(
                "compress.align is 'last', but compress.stop rates each step as it would be used: "
                "set compress.align to 'each', or give a cost as compress.target, not as "
                "compress.stop"
            )
        if self.target is not None and self.target.loss is not None:
            raise ValueError(
                "compress.align is 'last', but compress.target.loss rates each step as it would "
                "be used: set compress.align to 'each' (the epochs are then those of each drop) or "
                "to null, or give compress.target.share or amount"
            )
        return self

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        heads, blocks = ("cls", "reg", "kd_cls", "kd_reg"), ("out", "mid", "out_rel", "mid_rel")
        for recipe in self.recipes:
            frozen = recipe.tuning == "frozen"
            terms = heads if frozen else (*heads, *blocks)
            if not any(getattr(self.loss, term) for term in terms):
                why = " of tuning: frozen, which changes no block," if frozen else ""
                raise ValueError(
                    f"an alignment{why} needs a weight above 0 for one of "
                    f"{', '.join(f'compress.loss.{term}' for term in terms)}; or set "
                    "compress.align to null"
                )
        return self

    @property
    def settled_loss(self) -> AlignLossConfig:
        """The alignment's loss with an aim: a repair leads blocks to what the next one expects."""
        aim = self.loss.aim or ("own" if self.repair.layers == "none" else "next")
        return self.loss.model_copy(update={"aim": aim})

    def recipe(self, step: int) -> TrainConfig:
        """How step 1..N is aligned, if it is: by ``first`` in the first half of several rounds."""
        early = self.align == "each" and step <= self.n_drops // 2
        return self.first if early else self.later

    @property
    def recipes(self) -> list[TrainConfig]:
        """Those of all alignments, if no goal ends the loop before."""
        rounds = {"each": self.n_drops, "last": 1, None: 0}[self.align]
        return [self.recipe(step) for step in range(1, rounds + 1)]
