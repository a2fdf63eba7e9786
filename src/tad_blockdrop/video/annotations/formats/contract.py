"""What a format of annotations is, and what all of them need to read their files."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tad_blockdrop.config.data import ReadingConfig
from tad_blockdrop.video.annotations.media import (
    is_address,
    is_rooted,
    is_video,
    video_names,
)
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    AnnotationError,
    Annotations,
    shown,
    text_of,
)
from tad_blockdrop.video.problems import ANNOTATIONS, Problem

LEFT_OUT = "left out"  # the kind of problem that tells what was not read
_ESCAPES = (("%2F", "/"), ("%5C", "\\"), ("%25", "%"))  # of listing.file_name
_SUBSETS = ("train", "training", "val", "valid", "validation", "test", "testing")


@dataclass(frozen=True)
class Source:
    """Where annotations come from. ``name``: the file's path, empty for what is in memory.

    ``media``: the paths of videos that the file has named so far. ``others``: those that all files
    of the dataset name, where the names of videos alone do not tell these apart.
    """

    name: str = ""
    config: ReadingConfig = field(default_factory=ReadingConfig)
    others: frozenset[str] = frozenset()
    media: set[str] = field(default_factory=set)

    def video(self, *endings: str) -> str:
        """The id of the one video that the file is about, as ``called``. Raises AnnotationError."""
        return self.called("video", *endings)

    def called(self, what: str, *endings: str) -> str:
        """What the file is called after, for formats where only that says ``what`` it is about.

        The file's name without its ending and without the first of ``endings`` that it has.
        Raises AnnotationError.
        """
        if not self.name:
            raise AnnotationError(
                "top level", f"only the name of such a file says its {what}", "read it from a file"
            )
        stem = Path(self.name).stem
        for written, meant in _ESCAPES:  # as we write them
            stem = stem.replace(written, meant)
        shorter = (stem.removesuffix(ending) for ending in endings if stem.endswith(ending))
        return text_of(next(shorter, stem) or stem, "the file's name", f"name it after its {what}")

    def names(self, media: Iterable[str]) -> dict[str, str]:
        """A video id for each path or address, as short as tells them apart (``video_names``)."""
        own = list(media)
        self.media.update(own)
        every = video_names([*own, *sorted(self.others)])
        return {path: every[path] for path in own}

    def names_of_own(self, videos: Iterable[str]) -> dict[str, str]:
        """Names for those videos of a table of one's own that are no paths inside a folder.

        Paths of a machine and addresses of video files get them, as those of tools do.
        """
        outside = (v for v in videos if is_rooted(v) or (is_address(v) and is_video(v)))
        return {path: name or path for path, name in self.names(outside).items()}

    def subset(self) -> str:
        """The subset that the file's name speaks of, for datasets with a file for each."""
        words = re.findall("[a-z]+", Path(self.name).stem.casefold())
        return next((word for word in words if word in _SUBSETS), NO_SUBSET)


class AnnotationFormat(Protocol):
    """One way to write annotations down.

    ``name`` is what people call it, ``layout`` is how a file of it looks.
    """

    name: str
    layout: str

    def recognise(self, content: object) -> bool:
        """Whether ``content`` is meant to be in this format; it may be faulty.

        Content is parsed JSON, the DataFrame of a table with a header, or text.
        """

    def read(self, content: Any, source: Source) -> Annotations:
        """The tables of what ``recognise`` accepts. Raises AnnotationError."""


class Collected:
    """What a format finds in a file, row by row, and how much it leaves out.

    ``unit``: of all times given. With "frames" they become seconds at the rate stated of their
    video or at ``config.frame_rate``; otherwise at that of the video's file, once that is known.
    """

    def __init__(self, source: Source, unit: str = "s") -> None:
        self.source, self.config = source, source.config
        self.unit = unit
        self.stated: dict[str, tuple[str, str, float, float, float]] = {}
        self.rows: list[tuple[str, str, float, float]] = []
        self.problems: list[Problem] = []
        self._left: Counter[tuple[str, str]] = Counter()
        self._where: dict[tuple[str, str], str] = {}
        self._points: Counter[str] = Counter()
        self.in_frames: set[str] = set()
        self._in_seconds: set[str] = set()

    def names(self, media: Iterable[str]) -> dict[str, str]:
        """A video id for each path or address: see ``Source.names``."""
        return self.source.names(media)

    def video(
        self,
        video: str,
        subset: str = NO_SUBSET,
        duration: float = math.nan,
        fps: float = math.nan,
        frames: float = math.nan,
    ) -> None:
        """A video that the file lists; what it says first of a video counts."""
        duration, fps, frames = (n if n > 0 else math.nan for n in (duration, fps, frames))
        self.stated.setdefault(video, (video, subset, duration, fps, frames))

    def action(self, video: str, label: str, start: float, end: float) -> None:
        """An action of a video that is listed."""
        if self.unit == "frames":
            rate = self.rate(video)
            if rate is None:
                self.in_frames.add(video)
            else:
                start, end = start / rate, end / rate
        self.rows.append((video, label, start, end))

    def timed(self, video: str, label: str, start: float, end: float) -> None:
        """An action of a video that is listed, in seconds whatever the unit of others is."""
        self._in_seconds.add(video)
        self.rows.append((video, label, start, end))

    def point(self, video: str, label: str, time: float) -> None:
        """An event without a length: a segment of ``point_seconds`` around it."""
        rate = self.rate(video) if self.unit == "frames" else 1.0
        if rate is None:
            self.left_out("events without a length, as the frame rate is not known",
                          "state it as data.reading.frame_rate", video)  # fmt: skip
            return
        half = self.config.point_seconds / 2
        self.rows.append((video, label, max(time / rate - half, 0.0), time / rate + half))
        self._points[video] += 1

    def rate(self, video: str) -> float | None:
        """Frames per second of a video that is listed; None where only its file can say."""
        stated = self.stated[video][3]
        return self.config.frame_rate if math.isnan(stated) else stated

    def left_out(self, what: str, advice: str, where: str, count: int = 1) -> None:
        """Count what is not read: a plural, what to do about it, and one place where it is."""
        self._left[what, advice] += count
        self._where.setdefault((what, advice), where)

    def note(self, video: str, kind: str, message: str, advice: str) -> None:
        """Tell people of something that was decided for them."""
        self.problems.append(Problem(video, ANNOTATIONS, "", kind, message, advice))

    def annotations(self, classes: Iterable[str] = ()) -> Annotations:
        """The tables. ``classes``: names in their order, of which those that occur are taken.

        Raises AnnotationError.
        """
        for video in self.in_frames & self._in_seconds:
            raise AnnotationError(
                f"video '{video}'", "its times are frames as well as seconds, at a rate that is "
                "not stated", "state it as data.reading.frame_rate",
            )  # fmt: skip
        labels = {label for _, label, _, _ in self.rows}
        order = [name for name in classes if name in labels]
        points = self._points.total()
        if points:
            video = next(iter(self._points))
            seconds = self.config.point_seconds
            self.note(
                video, "events without a length",
                f"{points} event(s) have no length, in this video for example; each became a "
                f"segment of {seconds:g} s around it",
                "set data.reading.point_seconds to the length that such an event usually has",
            )  # fmt: skip
        for (what, advice), count in self._left.items():
            where = self._where[what, advice]
            self.note("", LEFT_OUT, f"left out: {count} {what}, for example in {where}", advice)
        return Annotations.from_rows(
            self.stated.values(),
            self.rows,
            (*order, *sorted(labels - set(order))),
            self.problems,
            frozenset(self.in_frames),
        )


def shortened(names: Mapping[str, str]) -> list[str]:
    """What to tell of the ``names_of_own`` that videos got."""
    if not names:
        return []
    path, name = next(iter(names.items()))
    return [f"names instead of the paths of videos, for example {shown(name)} for {shown(path)}"]


def mapping(value: object, where: str) -> Mapping[str, Any]:
    """A JSON object. Raises AnnotationError."""
    if isinstance(value, Mapping):
        return value
    raise AnnotationError(where, f"it is {shown(value)}, not an object", "export the file again")


def sequence(value: object, where: str) -> list[Any]:
    """A JSON array. Raises AnnotationError."""
    if isinstance(value, list):
        return value
    raise AnnotationError(where, f"it is {shown(value)}, not a list", "export the file again")
