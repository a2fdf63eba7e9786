"""What a checkpoint states of its scores: the thresholds for each purpose, and what they give."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tad_blockdrop.config.predict import Purpose, Wish

DECISIONS_FILE = "decisions.json"

_Stated = TypeVar("_Stated")


class _Part(BaseModel):
    """Of ``decisions.json``: typed, no infinite numbers; anything may stand beside it."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)


class Rate(NamedTuple):
    """A rate with its 95 % interval; None where there is nothing to count."""

    value: float | None
    low: float | None
    high: float | None


class Expected(_Part):
    """What is to be expected: ``ratio`` is how many detections are shown for each action.

    ``shown`` detections and ``actions`` were counted; None in files from before these were kept.
    """

    precision: Rate
    recall: Rate
    ratio: Rate
    shown: int | None = None
    actions: int | None = None


class Point(_Part):
    """Thresholds for one purpose.

    ``thresholds``: by class, none where nothing right was found. ``common``: the classes that share
    one, as they have too few examples for their own. ``unmet``: the best precision or recall there
    is, of classes that do not reach what is ``asked``. ``expected``: over all classes; ``by_class``
    has the classes that were shown or annotated.
    """

    purpose: Purpose
    asked: float | None
    thresholds: dict[str, float]
    common: list[str] = []
    unmet: dict[str, float] = {}
    expected: Expected | None = None
    by_class: dict[str, Expected] = {}

    def respelled(self, names: Mapping[str, str]) -> Self:
        """The same under other names of the classes: new ones by old ones."""
        return self.model_copy(
            update={
                "thresholds": _respelled(self.thresholds, names),
                "common": [names.get(name, name) for name in self.common],
                "unmet": _respelled(self.unmet, names),
                "by_class": _respelled(self.by_class, names),
            }
        )


def _respelled(stated: Mapping[str, _Stated], names: Mapping[str, str]) -> dict[str, _Stated]:
    return {names.get(name, name): value for name, value in stated.items()}


Share = Annotated[float, Field(ge=0, le=1)]


class Calibration(_Part):
    """The probability that a detection is right, by score: straight lines between ``scores``."""

    method: Literal["isotonic", "logistic"]
    scores: list[Share] = Field(min_length=1)
    probabilities: list[Share]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.scores) != len(self.probabilities):
            raise ValueError("there must be one of 'probabilities' for each of 'scores'")
        if any(a >= b for a, b in pairwise(self.scores)):
            raise ValueError("'scores' must rise")
        if any(a > b for a, b in pairwise(self.probabilities)):
            raise ValueError("'probabilities' must not fall")
        return self


class Decisions(_Part):
    """Operating points and calibrated scores, and the videos they come from.

    ``split``: "holdout", or "train" where no videos are held out. ``tiou``: from which overlap on
    a detection is right. ``videos``, ``actions``: how many there were. ``calibration``: none where
    there were too few detections.
    """

    format_version: Literal[1] = 1
    split: Literal["holdout", "train"]
    videos: int = Field(ge=1)
    actions: int = Field(ge=1)
    tiou: float = Field(gt=0, le=1)
    points: list[Point] = Field(min_length=1)
    calibration: Calibration | None = None

    def point(self, wish: Wish) -> Point:
        """The one for a purpose; of those for a precision or recall, the next that is as high.

        Raises KeyError if there is none.
        """
        fitting = [
            point
            for point in self.points
            if point.purpose == wish.purpose and (point.asked or 0) >= (wish.asked or 0)
        ]
        if not fitting:
            raise KeyError(wish)
        return min(fitting, key=lambda point: point.asked or 0)

    def respelled(self, names: Mapping[str, str]) -> Self:
        """The same under other names of the classes: new ones by old ones."""
        return self.model_copy(update={"points": [p.respelled(names) for p in self.points]})
