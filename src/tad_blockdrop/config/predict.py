"""Using a finished model: detections on any videos, and files for other programs."""

from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from tad_blockdrop.config.base import Config

# The last eight are files of other tools: the keys of video.annotations.WRITERS.
Format = Literal[
    "csv", "activitynet",
    "boris", "elan", "label_studio", "audacity", "srt", "vtt", "frames", "fiftyone",
]  # fmt: skip

# What thresholds are for: the best F1, a precision or a recall that is asked for, right counts.
Purpose = Literal["f1", "precision", "recall", "counts"]


class Wish(NamedTuple):
    """What detections are wanted for; ``asked``: the precision or recall, 0 to 1."""

    purpose: Purpose = "f1"
    asked: float | None = None


BEST_F1 = Wish()


class UseConfig(Config):
    """A model to use, and what to keep of its detections; ``section``: its key."""

    section: ClassVar[str]

    checkpoint: str | None = Field(
        None, description="folder of a checkpoint; none: final_checkpoint of the experiment"
    )
    min_score: float | None = Field(
        None, ge=0, le=1, description="keep detections from this score; none: operating points"
    )
    purpose: Purpose | None = Field(
        None, description="of the operating points; none: what is asked for below, otherwise f1"
    )
    precision: float | None = Field(None, gt=0, lt=1, description="of what is kept, at least")
    recall: float | None = Field(None, gt=0, lt=1, description="of the actions, at least")

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        asked = {name: getattr(self, name) for name in ("precision", "recall")}
        given = [name for name, value in asked.items() if value is not None]
        stated = [f"{self.section}.{name}" for name in given]
        if self.purpose is not None:
            stated.append(f"{self.section}.purpose={self.purpose}")
        if self.min_score is not None and stated:
            raise ValueError(
                f"{self.section}.min_score is a threshold by itself, and {' and '.join(stated)} "
                "would choose another: give one of them"
            )
        if len(given) == 2:
            raise ValueError(
                f"{' and '.join(stated[:2])} cannot both be asked for, as one is the price of the "
                f"other: give one of them ({self.section}.purpose=f1 weighs them against each "
                "other)"
            )
        if self.purpose in asked and given != [self.purpose]:
            raise ValueError(
                f"{stated[-1]} needs {self.section}.{self.purpose}, a number between 0 and 1, and "
                f"not {' and '.join(stated[:-1]) or 'nothing'}"
            )
        if self.purpose in ("f1", "counts") and given:
            raise ValueError(
                f"{stated[-1]} asks for no {given[0]}: leave out {self.section}.purpose or "
                f"{stated[0]}"
            )
        return self

    @property
    def wish(self) -> Wish:
        """What the operating points are for."""
        if self.precision is not None:
            return Wish("precision", self.precision)
        if self.recall is not None:
            return Wish("recall", self.recall)
        return Wish(self.purpose) if self.purpose else BEST_F1


class PredictConfig(UseConfig):
    """Which videos to run, and what is written of them."""

    section = "predict"

    videos: str | None = Field(
        None, coerce_numbers_to_str=True, description="a video, or a folder of them"
    )
    draw: bool = Field(False, description="also write copies of the videos with their detections")
    batch: int = Field(1, ge=1, description="windows per forward pass")
    formats: tuple[Format, ...] = Field(
        ("csv", "activitynet"), description="what detections are written in"
    )


class ExportConfig(Config):
    """What is exported, and how it is checked and timed against PyTorch."""

    checkpoint: str | None = Field(
        None, description="folder of a checkpoint; none: final_checkpoint of the experiment"
    )
    check_videos: int = Field(8, ge=1, description="test videos that must come out the same")
    max_difference: float = Field(1e-3, gt=0, description="of logits, PyTorch against the export")
    latency_repeats: int = Field(100, ge=1, description="timed passes of each model")
    opset: int | None = Field(
        None, ge=18, le=25, description="of the ONNX file; none: what PyTorch writes"
    )
    int8: bool = Field(False, description="also write an ONNX file in 8-bit integers")
    max_int8_loss: float = Field(0.5, ge=0, description="mAP points on held-out videos, at most")
