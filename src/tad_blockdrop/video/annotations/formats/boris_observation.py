"""An observation of BORIS: videos queued in one player, on a clock that runs on through them.

What BORIS's own code does (github.com/olivierfriard/BORIS, 2026): an event's time is the position
in the queue plus the observation's time offset, or the media's date of creation plus the position
in it; the lengths of queued media are cut to milliseconds before they are added up; states are
paired in the order of their times, by subject, code and modifiers. Its projects do not say which
events begin a state and which end one; its exports do, and may lack some of them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tad_blockdrop.errors import some
from tad_blockdrop.video.annotations.formats.contract import Collected
from tad_blockdrop.video.annotations.table import AnnotationError

SHOWN = 5  # subjects that are named
NOBODY = {"", "NA", "No focal subject"}  # how events say that they have no subject

State = tuple[str, str, str]  # subject, code, modifiers: what pairs the start and end of a state
Change = tuple[State, float, bool | None]  # its time; whether it begins, None if that is not stated


@dataclass(frozen=True)
class Medium:
    """A video file of an observation: its path on the machine of BORIS, length in s and rate.

    NaN for what is not known.
    """

    path: str
    length: float = math.nan
    fps: float = math.nan


@dataclass
class Observation:
    """What was coded while ``media`` were played, one after the other.

    ``offset``: seconds that BORIS added to all times. ``begins``: the time on the clock at which
    each medium begins, where that is not the end of the one before. ``states``: (code, start, end),
    ``points``: (code, time), in seconds of the clock. ``unpaired``, ``unbegun`` and ``modified``
    count states without an end, ends without a beginning, and events with modifiers.
    """

    name: str
    media: Sequence[Medium]
    offset: float = 0.0
    begins: Mapping[str, float] = field(default_factory=dict)
    states: list[tuple[str, float, float]] = field(default_factory=list)
    points: list[tuple[str, float]] = field(default_factory=list)
    subjects: set[str] = field(default_factory=set)
    unpaired: int = 0
    unbegun: int = 0
    modified: int = 0

    def pair(self, changes: Iterable[Change]) -> None:
        """Add the states that begin and end with these changes, which are in order."""
        begun: dict[State, float] = {}
        for key, time, begins in changes:
            if key not in begun if begins is None else begins:
                self.unpaired += key in begun
                begun[key] = time
            elif key in begun:
                self.states.append((key[1], begun.pop(key), time))
            else:
                self.unbegun += 1
        self.unpaired += len(begun)

    def spans(self) -> Iterator[tuple[str, float, float]]:
        """Each medium with the times on the clock at which it begins and ends.

        The first has no beginning and the last no end. Raises AnnotationError.
        """
        begin = self.offset
        for number, medium in enumerate(self.media):
            begin = self.begins.get(medium.path, begin)
            last = number == len(self.media) - 1
            if last:
                yield medium.path, begin, math.inf
            elif not 0 < medium.length < 1e9:
                raise AnnotationError(
                    f"observation '{self.name}'",
                    f"times run on through its {len(self.media)} media, but the length of "
                    f"'{medium.path}' is not stated",
                    "open the observation in BORIS with the videos at hand, and save the project",
                )
            else:
                end = begin + math.floor(medium.length * 1000) / 1000
                yield medium.path, begin, end
                begin = end

    def add_to(self, found: Collected, names: Mapping[str, str]) -> None:
        """Cut what was coded to the media, whose ids are ``names``. Raises AnnotationError."""
        spans = list(self.spans())
        for medium in self.media:
            found.video(names[medium.path], duration=medium.length, fps=medium.fps)
        for code, start, end in self.states:
            for number, (path, begin, finish) in enumerate(spans):
                earliest = begin if number else -math.inf
                first, last = max(start, earliest), min(end, finish)
                empty = end <= start and earliest <= start < finish
                if first < last or empty:
                    found.action(names[path], code, first - begin, last - begin)
        for code, time in self.points:
            path, begin, _ = next((span for span in reversed(spans) if span[1] <= time), spans[0])
            found.point(names[path], code, time - begin)


def collect(observations: Sequence[Observation], found: Collected) -> None:
    """Add all observations, and tell what of them is joined or left out. Raises AnnotationError."""
    names = found.names(medium.path for each in observations for medium in each.media)
    seen: dict[str, str] = {}
    for each in observations:
        each.add_to(found, names)
        for video in {names[medium.path] for medium in each.media}:
            if video in seen:
                found.note(
                    video, "several observations",
                    f"observations '{seen[video]}' and '{each.name}' are both of this video: their "
                    "actions are joined",
                    "if two people coded the same, delete one of the observations",
                )  # fmt: skip
            seen[video] = each.name
        if not (each.states or each.points or each.unpaired or each.unbegun):
            found.note(
                "", "no events",
                f"observation '{each.name}' has no events: its videos count as without actions",
                "delete it, if nobody has coded it yet",
            )  # fmt: skip
        if each.unpaired:
            found.left_out("states without an end", "code the end in BORIS", each.name,
                           each.unpaired)  # fmt: skip
        if each.unbegun:
            found.left_out(
                "ends of states without a beginning",
                "the export seems to be cut: export whole observations from BORIS, with all rows",
                each.name, each.unbegun,
            )  # fmt: skip
        if each.modified:
            found.left_out(
                "modifiers of events, as the behaviour alone is the class",
                "make behaviours of them if they are different actions", each.name, each.modified,
            )  # fmt: skip
    subjects = sorted(set().union(*(each.subjects for each in observations)) - NOBODY)
    if len(subjects) > 1:
        found.note(
            "", "several subjects",
            f"the actions of {len(subjects)} subjects are taken alike: {some(subjects, SHOWN)}",
            "the behaviour alone is the class; make behaviours of them if who does it matters",
        )  # fmt: skip
