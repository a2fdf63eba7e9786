"""Look at videos and annotations: what can be used, and the numbers that choices are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tad_blockdrop.begin.request import BeginError
from tad_blockdrop.config import DataConfig
from tad_blockdrop.errors import first_lines
from tad_blockdrop.runtime.devices import cores_here, main_memory
from tad_blockdrop.video.annotations import (
    NO_SUBSET,
    Annotations,
    read_annotation_files,
    read_annotations,
    subset_key,
)
from tad_blockdrop.video.dataset import Dataset, build_dataset, listed_videos
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.listing import folder_contents
from tad_blockdrop.video.files.probing import probe_videos
from tad_blockdrop.video.problems import Problem

LONG = 0.99  # share of the actions that are no longer than a long one ...
SHORT = 0.05  # ... and than a short one


@dataclass(frozen=True)
class Numbers:
    """The part to learn from in numbers; videos to measure on have no part in them.

    ``video_seconds``: three quarters of the videos are no longer; ``short`` and ``long``: seconds
    of an action that 5 % are shorter, 1 % are longer than; ``fps``: of half of the videos or more;
    ``side``, ``aspect``: the middle short side (px) and long over short side; ``actions``: how
    many of each class. ``memory``: bytes of this machine.
    """

    videos: int
    seconds: float
    video_seconds: float
    fps: float
    side: int
    aspect: float
    short: float
    long: float
    actions: Mapping[str, int]
    cores: int
    memory: int
    gpu: bool = False


@dataclass(frozen=True, eq=False)
class Look:
    """Annotations, the facts of the videos that can be read, what is wrong with others.

    ``unlisted``: the videos of the folder that the annotations do not name.
    """

    annotations: Annotations
    facts: pd.DataFrame
    unreadable: list[Problem]
    unlisted: list[str]

    @property
    def has_subsets(self) -> bool:
        """Whether the annotations say which videos are to be measured on."""
        return not bool((self.annotations.stated["subset"] == NO_SUBSET).all())

    def shown(self) -> dict[str, set[str]]:
        """The classes of each video that can be read."""
        rows = self.annotations.instances.groupby("video_id")["label"]
        classes = {str(video): set(labels) for video, labels in rows}
        return {str(video): classes.get(str(video), set()) for video in self.facts["video_id"]}

    def dataset(self, data: DataConfig) -> Dataset:
        """What can be used of them, sampled and split as ``data`` says, with its problems."""
        return build_dataset(self.annotations, self.facts, data)


def look_at(videos: Path, annotations: Path, data: DataConfig, timeout: float) -> Look:
    """Read the annotations, and probe the videos that they name, in the folder ``videos``.

    Raises BeginError, AnnotationError or what probing raises for a folder that cannot be listed.
    """
    found = read_annotations(read_annotation_files([annotations]), data.reading)
    subset = evaluation_subset(found)
    listed, _ = listed_videos(found, data.model_copy(update={"evaluation_subset": subset}))
    facts, unreadable = probe_videos(
        listed, videos, Timing.of(data), cores_here(), timeout, fatal=False
    )
    if facts.empty:
        raise BeginError(
            f"none of the {len(listed)} videos that {annotations} names can be read from {videos} "
            f"({reasons(unreadable)}): their names in the annotations must be those of the files, "
            "with or without ending"
        )
    return Look(found, facts, unreadable, _unlisted(videos, facts, unreadable))


def reasons(unreadable: Sequence[Problem]) -> str:
    """What is wrong with the first few videos, and how many more there are."""
    return "; ".join(first_lines([f"{p.video_id}: {p.message}" for p in unreadable], 3))


def _unlisted(videos: Path, facts: pd.DataFrame, unreadable: list[Problem]) -> list[str]:
    """The videos below the folder that no annotation names, by their paths in it."""
    root = videos.resolve()  # as probed paths are
    named = {*facts["path"], *(problem.file for problem in unreadable)}
    there = folder_contents(root).videos
    return sorted(path.relative_to(root).as_posix() for path in there if str(path) not in named)


def evaluation_subset(annotations: Annotations) -> str:
    """The subset to measure on: validation where there is one, else testing."""
    keys = set(annotations.stated["subset"].map(subset_key))
    return "testing" if "validation" not in keys and "testing" in keys else "validation"


def numbers_of(dataset: Dataset, gpu: bool) -> Numbers:
    """Those of the videos to learn from (training and held-out)."""
    videos = dataset.videos[dataset.videos["split"] != "test"]
    actions = dataset.instances[dataset.instances["video_id"].isin(videos["video_id"])]
    lengths = actions["end"] - actions["start"]
    sides = videos[["width", "height"]]
    return Numbers(
        videos=len(videos),
        seconds=float(videos["duration"].sum()),
        video_seconds=float(videos["duration"].quantile(0.75)),
        fps=float(videos["fps"].median()),
        side=int(sides.min(axis=1).median()),
        aspect=float((sides.max(axis=1) / sides.min(axis=1)).median()),
        short=float(lengths.quantile(SHORT)),
        long=float(lengths.quantile(LONG)),
        actions={str(name): int(n) for name, n in actions["label"].value_counts().items()},
        cores=cores_here(),
        memory=main_memory(),
        gpu=gpu,
    )
