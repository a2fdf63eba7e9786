"""A row of the table of people's files, and how the product is asked about videos for it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.video.files.clock import PLAYER, Timing
from tad_blockdrop.video.files.probing import probe_videos
from tad_blockdrop.video.problems import Problem, timing_problems


@dataclass(frozen=True)
class Row:
    """A kind of input, what is true of it, what the product said, and whether that is right."""

    kind: str
    true: str
    said: str
    right: bool


@dataclass(frozen=True)
class Checked:
    """What ``kedro run --pipeline validate`` finds in a folder of videos."""

    folder: Path
    facts: pd.DataFrame
    problems: list[Problem]

    def of(self, video_id: str) -> Any:
        """The facts of one video."""
        return self.facts.set_index("video_id").loc[video_id]

    @property
    def said(self) -> str:
        """The problems in a line, without the folder."""
        told = "; ".join(dict.fromkeys(problem.message for problem in self.problems))
        return told.replace(f"{self.folder.resolve()}/", "").replace(
            str(self.folder.resolve()), "."
        )

    @property
    def refused(self) -> bool:
        """Whether the run stops."""
        return any(problem.fatal for problem in self.problems)


def check(folder: Path, splits: dict[str, str], timing: Timing = PLAYER) -> Checked:
    """Validate videos by id; ``splits``: train or test, by id."""
    listed = pd.DataFrame({"video_id": list(splits), "split": list(splits.values())})
    facts, problems = probe_videos(listed.assign(fps=math.nan), folder, timing, 1, 60, fatal=True)
    return Checked(folder, facts, problems + timing_problems(facts))


def check_one(path: Path, timing: Timing = PLAYER) -> Checked:
    """Validate one video, named after its file."""
    return check(path.parent, {path.name: "train"}, timing)
