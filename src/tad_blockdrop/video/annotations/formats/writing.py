"""What the formats that can be written are given: videos with their actions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Action:
    """An action: seconds, class, and the model's score, None where a person annotated it."""

    start: float
    end: float
    label: str
    score: float | None = None


@dataclass(frozen=True)
class LabelledVideo:
    """A video with its actions: its id and file, its length in seconds and its rate."""

    video_id: str
    path: str
    duration: float
    fps: float
    actions: Sequence[Action]


class WritableFormat(Protocol):
    """A format that actions can be written in."""

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """The texts of its files, by file name."""


def in_lanes(actions: Iterable[Action]) -> Iterator[tuple[int, Action]]:
    """Actions by their start, each with a lane in which no other of its class overlaps it."""
    ends: dict[str, list[float]] = defaultdict(list)
    for action in sorted(actions, key=lambda a: (a.start, a.end)):
        lanes = ends[action.label]
        lane = next((n for n, end in enumerate(lanes) if end <= action.start), len(lanes))
        lanes[lane : lane + 1] = [action.end]
        yield lane, action


def one_line(text: str) -> str:
    """The text without line ends and tabs."""
    return " ".join(text.split())
