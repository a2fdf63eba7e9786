"""What a person says of a model's detections, and what is true in a video after that.

A correction is one act of a person on one video: a few changes that are made, and undone, together.
Each change states the segment before and after it, so that a correction can be read, checked and
applied without the page that it was made on. Times are seconds, kept to the millisecond.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tad_blockdrop.errors import printable

MOST_CHANGES = 10_000  # of one correction: a video whose detections are all accepted at once
LATEST = 1e7  # seconds

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Second = Annotated[float, Field(ge=0, le=LATEST)]


class _Stated(BaseModel):
    """Values from outside: every key known, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Segment(_Stated):
    """An action: its class, and its start and end in seconds."""

    label: Text
    start: Second
    end: Second

    @field_validator("label")
    @classmethod
    def _whole_characters(cls, label: str) -> str:
        if printable(label) != label:
            raise ValueError("the label holds half a character")
        return label

    @field_validator("start", "end")
    @classmethod
    def _milliseconds(cls, seconds: float) -> float:
        return round(seconds, 3)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"the segment ends at {self.end} s but starts at {self.start} s")
        return self

    def __str__(self) -> str:
        return f"'{self.label}' from {self.start:g} to {self.end:g} s"

    def overlaps(self, other: "Segment") -> bool:
        """Whether both are of one class and share some time."""
        return self.label == other.label and self.start < other.end and other.start < self.end


class Judge(_Stated):
    """A detection is judged: ``truth`` is what it should have been, None where nothing is there.

    Accepted as it is: ``truth`` equals ``detection``, or the true segment that was there before.
    """

    kind: Literal["judge"] = "judge"
    detection: Segment
    truth: Segment | None


class Edit(_Stated):
    """What is true changes: a segment is altered, added (no ``before``) or deleted (no ``after``).

    It may be one of the annotations or one that an earlier correction made.
    """

    kind: Literal["edit"] = "edit"
    before: Segment | None
    after: Segment | None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.before == self.after:
            raise ValueError("the edit changes nothing")
        return self


class Finish(_Stated):
    """The video has been looked through: what is not true there by now is background."""

    kind: Literal["finish"] = "finish"
    finished: bool


Change = Annotated[Judge | Edit | Finish, Field(discriminator="kind")]


class Correction(_Stated):
    """What a page sends: the changes of one act, or the number of an entry that it undoes.

    ``video``: its id in the annotations, or that of the predictions where they do not list it.
    """

    video: Text
    changes: tuple[Change, ...] = Field((), max_length=MOST_CHANGES)
    undoes: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if bool(self.changes) == (self.undoes is not None):
            raise ValueError("a correction either has changes or undoes an entry")
        return self


class Entry(Correction):
    """A correction as it is kept: its number, when and by whom it was made, and of which model.

    ``model``: the SHA-256 of the model's weights; ``predictions``: the version of its detections.
    ``content``: the mark of the video's file (``video.files.proxies.source_fingerprint``), as other
    videos may have the same id; ``listed``: whether the annotations list that very file. Both are
    None in journals from before they were kept: there the id decides.
    """

    number: int = Field(ge=1)
    time: str
    who: str
    model: str
    predictions: str
    content: str | None = None
    listed: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What its video is called, and, where another one is called that, by its content."""
        return (self.video, f"{self.video} ({self.content[:8]})") if self.content else (self.video,)

    def is_about(self, video: str, content: str | None) -> bool:
        """Whether it is about the video of this id, and of this content if both are known."""
        return self.video == video and (None in (self.content, content) or self.content == content)


@dataclass
class VideoTruth:
    """What is true in a video, which detections were judged, and whether it is finished.

    ``segments``: in the order in which they were stated (the values mean nothing). ``conflicts``: a
    sentence for each change that could not be made, which then counts for nothing.
    """

    segments: dict[Segment, None]
    judged: dict[Segment, Segment | None] = field(default_factory=dict)
    finished: bool = False
    conflicts: list[str] = field(default_factory=list)

    def apply(self, entry: Entry) -> None:
        """Make the changes of an entry."""
        for change in entry.changes:
            problem = self._apply(change)
            if problem:
                self.conflicts.append(f"correction {entry.number} by {entry.who}: {problem}")

    def _apply(self, change: Judge | Edit | Finish) -> str | None:
        """Make one change; says why if it cannot be made."""
        match change:
            case Finish(finished=finished):
                self.finished = finished
            case Judge(detection=detection) if detection in self.judged:
                return f"the detection {detection} was judged before"
            case Judge(detection=detection, truth=truth):
                self.judged[detection] = truth
                if truth is not None:
                    self.segments[truth] = None
            case Edit(before=before) if before is not None and before not in self.segments:
                return f"there is no {before} any more"
            case Edit(after=after) if after is not None and after in self.segments:
                return f"there is {after} already"
            case Edit(before=before, after=after):
                if before is not None:
                    del self.segments[before]
                if after is not None:
                    self.segments[after] = None
        return None

    def overlaps(self) -> list[str]:
        """A sentence for each two neighbours of one class that share some time."""
        rows = sorted(self.segments, key=lambda segment: (segment.label, segment.start))
        return [
            f"{first} and {second} overlap; both are kept"
            for first, second in pairwise(rows)
            if first.overlaps(second)
        ]


def active(entries: Iterable[Entry]) -> list[Entry]:
    """The entries with changes that no later one undoes, in order."""
    kept: dict[int, Entry] = {}
    for entry in entries:
        if entry.undoes is not None:
            kept.pop(entry.undoes, None)
        else:
            kept[entry.number] = entry
    return list(kept.values())


def by_video(entries: Iterable[Entry], annotated: Container[str]) -> dict[str, list[Entry]]:
    """The entries by the name of their video, each video with one of its own.

    The id stays with the video that is ``annotated`` under it, or else was corrected first.
    """
    first: dict[str, str] = {}
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        name = entry.video
        if entry.content and not entry.listed:
            owner = "" if name in annotated else first.setdefault(name, entry.content)
            name = entry.names[0 if owner == entry.content else 1]
        found.setdefault(name, []).append(entry)
    return found


def replay(annotated: Iterable[Segment], entries: Iterable[Entry]) -> VideoTruth:
    """What is true in a video: its annotations, then the ``entries`` about it, in order."""
    truth = VideoTruth(dict.fromkeys(annotated))
    for entry in active(entries):
        truth.apply(entry)
    return truth
