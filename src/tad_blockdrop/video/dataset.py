"""The tables that everything else reads, from annotations and probed files.

``videos``: video_id, split (train | holdout | test), path, n_samples, rate (samples per second),
duration (s), n_frames, fps, start (s, of the picture), width, height, variable_rate, listed (how
many videos of its subset the annotations list, usable or not); once frames are extracted also
content (what they were made from) and, where proxies hold only some samples, kept (how many).
``instances``: video_id, label (what the detector says), category (the annotated class), start,
end (s).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tad_blockdrop.config import DataConfig
from tad_blockdrop.config.data import Clock
from tad_blockdrop.errors import first_lines, some
from tad_blockdrop.video.annotations import NO_SUBSET, Annotations, subset_key
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.listing import compared
from tad_blockdrop.video.files.probe import timeline
from tad_blockdrop.video.files.proxies import sampled_frames
from tad_blockdrop.video.files.sampling import (
    Indices,
    Sampling,
    count_samples,
    count_samples_at,
    frames_before,
    source_indices,
)
from tad_blockdrop.video.problems import (
    ANNOTATIONS,
    SHOWN,
    Problem,
    UnusableDatasetError,
    ground_truth_problems,
    instance_problems,
    stated_problems,
    timing_problems,
)
from tad_blockdrop.video.splits import held_out, named, own_split

AGNOSTIC = "action"  # the one class of a class-agnostic detector
USUAL = {"training", "validation", "testing"}
VIDEO_COLUMNS = [
    "video_id", "split", "path", "n_samples", "rate", "duration", "n_frames", "fps",
    "start", "width", "height", "variable_rate", "listed",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dataset:
    """A checked dataset. ``listed``: how many videos the annotations list, train and test."""

    videos: pd.DataFrame
    instances: pd.DataFrame
    classes: tuple[str, ...]
    listed: dict[str, int]
    problems: list[Problem]


def listed_videos(annotations: Annotations, data: DataConfig) -> tuple[pd.DataFrame, list[Problem]]:
    """The videos of the configured subsets, without blocked ones: stated facts and ``split``.

    ``split`` is train or test. Blocked videos are named as ``splits.named`` has it. An id that is
    written in two ways counts once. Ids that differ in the prefix ``v_`` alone are two here: only
    their files say whether they are one video (``files.probing``).
    """
    stated = annotations.stated
    blocked, unknown = named(stated["video_id"], data.blocked_videos)
    stated = stated[~blocked]
    subsets, spelled = stated["subset"].map(subset_key), stated["video_id"].map(compared)
    first = spelled.map(dict(zip(spelled[::-1], subsets[::-1], strict=True)))
    twice = spelled.duplicated()
    problems = [*annotations.problems]
    if unknown:
        problems.append(
            Problem(
                "", ANNOTATIONS, "data.blocked_videos", "unknown video",
                f"the annotations list no video named {some(unknown, SHOWN)}",
                "nothing is blocked by it; correct the name if such a video should be left out",
            )
        )  # fmt: skip
    problems += [
        Problem(
            video, ANNOTATIONS, "video id", "duplicate",
            "the video is listed twice, under two spellings of its id",
            "the first entry counts; remove the other", fatal=subset != before,
        )
        for video, subset, before in zip(
            stated["video_id"][twice], subsets[twice], first[twice], strict=True
        )
    ]  # fmt: skip
    stated = stated[~twice]
    if (stated["subset"] == NO_SUBSET).all() and len(stated):
        split, found = own_split(stated["video_id"], data)
        problems += found
    else:
        names = {
            subset_key(data.training_subset): "train",
            subset_key(data.evaluation_subset): "test",
        }
        keys = stated["subset"].map(subset_key)
        split = keys.map(names)
        problems += _subset_problems(stated, keys, split, data)
    return stated.assign(split=split).dropna(subset="split").reset_index(drop=True), problems


def build_dataset(
    annotations: Annotations,
    facts: pd.DataFrame,
    data: DataConfig,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """The tables of the videos in ``facts`` (as probed), and every problem except missing files.

    ``classes``: the class list, by default those of the listed videos, in the annotations' order.
    """
    listed, problems = listed_videos(annotations, data)
    before = annotations.in_seconds(facts)
    before = before[before["video_id"].isin(listed["video_id"])]
    there = set(before["label"])
    categories = tuple(classes or (name for name in annotations.classes if name in there))
    shown = facts.set_index("video_id")[["start", "duration"]]
    after, found = instance_problems(before, shown, categories)
    problems += timing_problems(facts, annotations.in_frames) + found
    videos = facts.merge(listed[["video_id", "split"]], on="video_id")
    videos = _sampled(videos, data)
    after = after[after["video_id"].isin(videos["video_id"])]
    # Nothing depends on the order of the annotations' rows.
    after = after.sort_values(["video_id", "start", "end", "label"], ignore_index=True)
    held = held_out(videos[videos["split"] == "train"], after, data.holdout)
    counts = {name: int((listed["split"] == name).sum()) for name in ("train", "test")}
    videos = videos.assign(
        listed=videos["split"].map(counts).astype(int),
        split=videos["split"].mask(videos["video_id"].isin(held), "holdout"),
    )
    problems += stated_problems(listed, facts)
    learned = () if data.class_agnostic else categories
    problems += ground_truth_problems(videos, before, after, learned)
    instances = after.rename(columns={"label": "category"}).assign(
        label=AGNOSTIC if data.class_agnostic else after["label"]
    )
    return Dataset(
        videos[VIDEO_COLUMNS].sort_values("video_id", ignore_index=True),
        instances[["video_id", "label", "category", "start", "end"]],
        (AGNOSTIC,) if data.class_agnostic else categories,
        counts,
        problems,
    )


def _sampled(videos: pd.DataFrame, data: DataConfig) -> pd.DataFrame:
    """With ``rate`` and ``n_samples``, by the same rule as in the proxies."""
    sampling = Sampling.of(data)
    rates = [sampling.rate(fps) for fps in videos["fps"]]
    counts = []
    for row, rate in zip(videos.to_dict("records"), rates, strict=True):
        if row["variable_rate"]:
            counts.append(count_samples_at(row["duration"], rate))
        else:
            frames = frames_before(row["start"], row["fps"]) + row["n_frames"]
            counts.append(count_samples(frames, row["fps"], rate))
    return videos.assign(rate=pd.Series(rates, dtype=float), n_samples=pd.Series(counts, dtype=int))


def _subset_problems(
    stated: pd.DataFrame, keys: pd.Series, split: pd.Series, data: DataConfig
) -> list[Problem]:
    counts = stated["subset"].value_counts(sort=False)
    found = ", ".join(f"{name} ({count})" for name, count in counts.items()) or "no video"
    wanted: Mapping[str, str] = {
        "training_subset": data.training_subset,
        "evaluation_subset": data.evaluation_subset,
    }
    problems = [
        Problem(
            "", ANNOTATIONS, f"data.{key}", "unknown subset",
            f"no video is in the subset '{name}'; the annotations have: {found}",
            f"set data.{key} to one of these", fatal=True,
        )
        for key, name in wanted.items()
        if not (keys == subset_key(name)).any()
    ]  # fmt: skip
    if subset_key(data.training_subset) == subset_key(data.evaluation_subset):
        problems.append(
            Problem(
                "", ANNOTATIONS, "data.evaluation_subset", "unknown subset",
                f"'{data.evaluation_subset}' is the training subset too; the annotations have: "
                f"{found}",
                "evaluate on videos that are not trained on", fatal=True,
            )
        )  # fmt: skip
    odd = stated[split.isna() & ~keys.isin(USUAL)]
    problems += [
        Problem(
            video, ANNOTATIONS, "subset", "unknown subset",
            f"'{subset}' is neither data.training_subset nor data.evaluation_subset; the "
            f"annotations have: {found}",
            "left out; correct the name if the video should be used",
        )
        for video, subset in zip(odd["video_id"], odd["subset"], strict=True)
    ]  # fmt: skip
    return problems


def without_failed(
    videos: pd.DataFrame, failed: Mapping[str, str]
) -> tuple[pd.DataFrame, list[Problem]]:
    """The videos whose frames could be extracted, and what was wrong with the others.

    ``failed``: the reasons, by video id. Raises UnusableDatasetError if no video is left to train
    on or to evaluate on.
    """
    lost = videos["video_id"].isin(list(failed))
    problems = [
        Problem(
            video, path, "", "unreadable frames", failed[video].removeprefix(f"{path}: "),
            "left out; get the file again",
        )
        for video, path in zip(videos.loc[lost, "video_id"], videos.loc[lost, "path"], strict=True)
    ]  # fmt: skip
    left = videos[~lost].reset_index(drop=True)
    for split, name in (("train", "train on"), ("test", "evaluate on")):
        if split not in set(left["split"]):
            told = [f"{p.video_id}: {p.message}" for p in problems]
            reasons = "\n  ".join(first_lines(told, SHOWN))
            raise UnusableDatasetError(
                f"no video is left to {name}: the frames of {len(problems)} could not be "
                f"extracted; get these files again:\n  {reasons}"
            )
    return left, problems


def source_frames(videos: pd.DataFrame, clock: Clock) -> pd.Series:
    """For each row of a videos table the source frame (n_samples,) of each sample, as arrays.

    Files of variable rate are read through. Raises DecodeError.
    """
    frames: list[Indices] = []
    for row in videos.to_dict("records"):
        if row["variable_rate"]:
            line = timeline(row["path"], Timing(clock))
            indices, _ = sampled_frames(line, Sampling(fps=row["rate"]))
        else:
            samples = np.arange(row["n_samples"])
            before = frames_before(row["start"], row["fps"])
            indices = source_indices(samples, row["n_frames"], row["fps"], row["rate"], before)
        frames.append(indices)
    return pd.Series(frames, index=videos.index, dtype=object)
