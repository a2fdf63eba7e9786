"""What to expect of a job: its minutes and memory, and what of the data it cannot learn or find."""

import math
from collections.abc import Iterable

import pandas as pd

from tad_blockdrop.begin.choose import FEW_ACTIONS
from tad_blockdrop.begin.look import Look, Numbers, reasons
from tad_blockdrop.begin.pace import Pace
from tad_blockdrop.config import DataConfig, DetectorConfig
from tad_blockdrop.errors import counted, some
from tad_blockdrop.preflight.forecast import size
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.dataset import Dataset
from tad_blockdrop.video.problems import Problem
from tad_blockdrop.video.summary import covered_share, grid_lengths

ENTRIES = 6  # names that a sentence lists
ROUNDING = 0.05  # of the minutes: what rounded parts may add up to beyond them


def described(look: Look, dataset: Dataset) -> str:
    """What was found, in a few lines."""
    split = dataset.videos["split"]
    chosen = "" if look.has_subsets else ", chosen here: the annotations name no subsets"
    classes = f"{len(dataset.classes)} classes" if len(dataset.classes) > 1 else "one class"
    lines = [
        f"{len(dataset.videos)} videos, {len(dataset.instances)} actions of {classes}: "
        f"{(split != 'test').sum()} videos to learn from, {(split == 'test').sum()} to measure on"
        f"{chosen}"
    ]
    if look.unreadable:
        count, why = len(look.unreadable), reasons(look.unreadable)
        lines.append(f"{count} of the annotated videos {_are(count)} left out ({why})")
    if look.unlisted:
        count, named = len(look.unlisted), some(look.unlisted, ENTRIES)
        lines.append(
            f"{count} of the folder {_are(count)} left out, not being in the annotations: {named}"
        )
    return "\n".join(lines)


def told(problems: Iterable[Problem], table: str) -> list[str]:
    """What was decided or left out: a sentence each, of what concerns videos one for each kind.

    ``table``: the file that has them all, with advice.
    """
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kind = problem.kind if problem.video_id else problem.message
        kinds.setdefault(kind, []).append(problem.message)
    sentences = [
        first + (f" (and {len(others)} more of this kind)" if others else "")
        for first, *others in kinds.values()
    ]
    return [*sentences, f"what to do about it: {table}"] if sentences else []


def duration(pace: Pace, epochs: int, minutes: float, spent: float) -> list[str]:
    """Sentences on the minutes and memory of the job; ``spent``: those until now."""
    parts = {**pace.parts, f"{counted(epochs, 'epoch')} of training": pace.epoch * epochs}
    rounded = {name: round(value, 1) for name, value in parts.items()}
    told = ", ".join(f"{name} {value:.1f}" for name, value in rounded.items())
    total = round(sum(rounded.values()), 1)  # what people who add the parts up come to
    sentences = [
        f"the job will take about {counted(total, 'minute')} ({told}) and {size(pace.memory)} of "
        f"memory; looking and trying took {counted(round(spent, 1), 'minute')}"
    ]
    if total + spent > (1 + ROUNDING) * minutes:
        sentences.append(
            f"together that is more than {counted(minutes, 'minute')}: "
            f"--minutes {math.ceil(total + spent)} would do"
        )
    return sentences


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def hardly_learned(numbers: Numbers) -> list[str]:
    """Sentences on classes with too few examples among the videos to learn from."""
    few = {name: count for name, count in numbers.actions.items() if count < FEW_ACTIONS}
    if not few:
        return []
    named = some([f"{name} ({count})" for name, count in few.items()], ENTRIES)
    return [
        f"{len(few)} of {len(numbers.actions)} classes have fewer than {FEW_ACTIONS} examples to "
        f"learn from and may hardly be found: {named}"
    ]


def never_measured(dataset: ActionDataset) -> list[str]:
    """Sentences on classes that no video to learn from, or none to measure on, shows."""
    split = dataset.instances["video_id"].map(dataset.videos.set_index("video_id")["split"])
    test = set(dataset.instances.loc[split == "test", "label"])
    learned = set(dataset.instances.loc[split != "test", "label"])
    found = []
    if missing := [name for name in dataset.classes if name not in learned]:
        found.append(f"no video to learn from shows {some(missing, ENTRIES)}: it cannot be found")
    if missing := [name for name in dataset.classes if name not in test]:
        found.append(
            f"no video to measure on shows {some(missing, ENTRIES)}: its accuracy stays unknown"
        )
    return found


def hardly_found(dataset: ActionDataset, data: DataConfig, detector: DetectorConfig) -> list[str]:
    """Sentences on actions that are too short or too long for the window and the levels."""
    steps = grid_lengths(dataset.videos, dataset.instances, data)
    share = covered_share(steps.clip(upper=data.window.grid).to_numpy(), detector.head)
    short = pd.Series(share < 0.5, index=steps.index) & (steps < 4)
    found = []
    if short.any():
        seconds = (dataset.instances["end"] - dataset.instances["start"])[short].max()
        counts = dataset.instances.loc[short, "label"].value_counts()
        named = some([f"{name} ({count})" for name, count in counts.items()], ENTRIES)
        found.append(
            f"{short.sum()} of {len(steps)} actions, of up to {seconds:.2g} s, are too short to be "
            f"found at {data.fps:g} samples a second: {named}"
        )
    if (long := steps > data.window.grid).any():
        found.append(f"{long.sum()} of {len(steps)} actions are longer than a window")
    return found


def seen_share(numbers: Numbers) -> list[str]:
    """A sentence on what the square crop leaves out."""
    if numbers.aspect < 1.2:
        return []
    return [
        f"a square from the middle of the picture is looked at: {1 - 1 / numbers.aspect:.0%} of "
        "it, on its long sides, is not seen; crop the videos first if actions happen there"
    ]
