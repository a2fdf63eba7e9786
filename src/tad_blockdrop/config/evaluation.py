"""From scores to detections to metrics to a report (docs/method.md §2.4 and §5)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tad_blockdrop.config.base import Config


def _told_apart(values: tuple[float, ...]) -> tuple[float, ...]:
    """Tables name a threshold with two decimals."""
    for value in values:
        if round(value, 2) != value:
            raise ValueError(f"{value} has more than two decimals: give {value:.2f}")
        if values.count(value) > 1:
            raise ValueError(f"{value} stands there more than once: give each threshold once")
    return values


Thresholds = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...],
    Field(min_length=1),
    AfterValidator(_told_apart),
]


class PostprocessConfig(Config):
    """Proposal filtering, soft-NMS, voting, external classifier."""

    min_score: float = Field(0.001, ge=0, lt=1)
    pre_nms: int = Field(2000, ge=1, description="proposals kept per window before NMS")
    sigma: float = Field(0.7, gt=0, description="Gaussian soft-NMS")
    max_detections: int = Field(2000, ge=1, description="kept per video")
    voting_tiou: float | None = Field(
        None, gt=0, le=1, description="segment voting; class agnostic only"
    )
    classifier: str | None = Field(None, description="video-level scores, JSON")
    classifier_top: int = Field(2, ge=1)


class EvaluationConfig(Config):
    """Metrics and measurements."""

    tious: Thresholds = (0.3, 0.4, 0.5, 0.6, 0.7)
    score_tious: Thresholds = Field((0.5,), description="of the train_map criterion")
    batch: int = Field(4, ge=1, description="windows per forward pass")
    bootstrap: int = Field(1000, ge=0, description="resamples of the interval; 0: none")
    latency_repeats: int = Field(5, ge=1)
    postprocess: PostprocessConfig = PostprocessConfig()


class ReportConfig(Config):
    """What the report compares the compressed models with."""

    control: bool = Field(False, description="the same alignment with nothing dropped")
    one_shot: bool = Field(True, description="one-shot dropping without alignment")
    timelines: int = Field(6, ge=0, description="videos shown as timelines")
