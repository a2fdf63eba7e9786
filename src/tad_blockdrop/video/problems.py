"""What can be wrong with a dataset: one record per finding, and the checks that find them.

A fatal problem stops the run. Anything else is left out or corrected as its message says, and
the result tables count what was really used.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.errors import BlockDropError, first_lines, printable, some

ANNOTATIONS = "annotations"  # in the column ``file`` where no video file is at fault
LATE_FRAMES = 0.5  # by which a picture may start after zero without being told
DIFFERENCE = 0.02  # relative difference allowed between stated and real facts
SAME_SECONDS = 1e-3  # segments whose starts and ends differ by no more are the same
SLACK = 0.1  # seconds a segment may end after its video: annotators round
SHOWN = 10  # problems that an error message lists

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """One finding: in which video and file, at which key, of which kind, and what to do."""

    video_id: str
    file: str
    key: str
    kind: str
    message: str
    advice: str
    fatal: bool = False


COLUMNS = [field.name for field in fields(Problem)]


class UnusableDatasetError(BlockDropError):
    """A dataset with fatal problems."""


def problems_table(problems: Iterable[Problem]) -> pd.DataFrame:
    """A row per problem, fatal ones first, with the columns of ``Problem``."""
    rows = [  # paths need not be UTF-8, tables are
        {key: printable(value) if isinstance(value, str) else value for key, value in row.items()}
        for row in map(asdict, problems)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"fatal": bool})
    return table.sort_values("fatal", ascending=False, kind="stable", ignore_index=True)


def refuse_fatal(problems: pd.DataFrame, where: str) -> None:
    """Raise UnusableDatasetError if any problem is fatal; the message lists the first ten.

    ``where`` says where the whole table can be read.
    """
    fatal = problems[problems["fatal"].astype(bool)].astype(object).fillna("")
    if fatal.empty:
        return
    head = f"the dataset cannot be used: {len(fatal)} fatal problem(s), all listed in {where}"
    lines = first_lines([_sentence(row) for row in fatal.to_dict("records")], SHOWN)
    raise UnusableDatasetError("\n  ".join([head, *lines]))


def _sentence(row: Mapping[Hashable, Any]) -> str:
    place = " ".join(str(row[name]) for name in ("video_id", "key") if row[name])
    return f"{place or row['file']}: {row['message']}; {row['advice']}"


def instance_problems(
    instances: pd.DataFrame, shown: pd.DataFrame, classes: Sequence[str]
) -> tuple[pd.DataFrame, list[Problem]]:
    """The instances that can be used, inside their videos, and what was wrong with the others.

    ``instances``: video_id, label, start, end (s). ``shown``: by video_id, the seconds ``start``
    and ``duration`` at which the picture of a video that can be read begins and ends; of other
    videos no segment counts as outside. Segments that extend beyond their video are clipped to it.
    """
    duration = instances["video_id"].map(shown["duration"]).astype(float).fillna(np.inf)
    begin = instances["video_id"].map(shown["start"]).astype(float).fillna(-np.inf)
    numbers = instances.groupby("video_id").cumcount()
    table = instances.assign(number=numbers, duration=duration, begin=begin)
    start, end = table["start"], table["end"]
    empty = (end <= start).to_numpy()
    outside = ((start >= duration) | (end <= begin)).to_numpy() & ~empty
    cut = ((end > duration + SLACK) | (start < -SLACK)).to_numpy() & ~empty & ~outside
    unknown = ~table["label"].isin(classes).to_numpy()
    duplicate = _duplicates(table) & ~empty
    problems = [
        *_segment_rows(table, empty, "empty segment", "it ends at or before its start",
                       "left out; correct or remove it"),
        *_segment_rows(table, outside, "segment outside the video",
                       "it lies outside the picture, from {begin:.2f} to {duration:.2f} s",
                       "left out; correct it, or check that this is the right video"),
        *_segment_rows(table, cut, "segment outside the video",
                       "it extends beyond the video, which is {duration:.2f} s long",
                       "clipped to the video; correct it"),
        *_segment_rows(table, duplicate, "duplicate", "the same segment and label appear twice",
                       "counted once; remove one"),
        *_unknown_labels(table[unknown], classes),
    ]  # fmt: skip
    good = table[~(empty | outside | unknown | duplicate)]
    good = good.assign(
        start=good["start"].clip(lower=0.0), end=np.minimum(good["end"], good["duration"])
    )
    return good[list(instances.columns)].reset_index(drop=True), problems


def _segment_rows(
    table: pd.DataFrame, found: Bools, kind: str, message: str, advice: str
) -> list[Problem]:
    return [
        Problem(
            row["video_id"],
            ANNOTATIONS,
            f"annotations[{row['number']}].segment",
            kind,
            f"[{row['start']:g}, {row['end']:g}] '{row['label']}': " + message.format_map(row),
            advice,
        )
        for row in table[found].to_dict("records")
    ]


def _duplicates(table: pd.DataFrame) -> Bools:
    """True for each repetition of an earlier instance: same video, label, start and end."""
    found = np.zeros(len(table), dtype=bool)
    group = table.groupby(["video_id", "label"]).ngroup().to_numpy()
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    order = np.lexsort((start, group))
    here = np.arange(len(table))  # places in that order that the one ``ahead`` may repeat
    for ahead in range(1, len(table)):
        here = here[: np.searchsorted(here, len(table) - ahead)]
        one, other = order[here], order[here + ahead]
        near = (group[one] == group[other]) & (start[other] - start[one] <= SAME_SECONDS)
        here, one, other = here[near], one[near], other[near]
        if not len(here):
            break
        same = np.abs(end[one] - end[other]) <= SAME_SECONDS
        found[np.maximum(one, other)[same]] = True
    return found


def _unknown_labels(rows: pd.DataFrame, classes: Sequence[str]) -> list[Problem]:
    """One problem per video and label, because an unknown class usually occurs many times."""
    known = some(classes, 5)
    return [
        Problem(
            str(video),
            ANNOTATIONS,
            f"annotations[{numbers.iloc[0]}].label",
            "unknown label",
            f"'{label}' ({len(numbers)} times) is not in the class list ({known})",
            "left out; add it to data.classes_file if it is a class of yours",
        )
        for (video, label), numbers in rows.groupby(["video_id", "label"], sort=False)["number"]
    ]


def similar_labels(labels: Iterable[str]) -> list[Problem]:
    """Classes whose names differ in upper and lower case, blanks or hyphens only."""
    alike: dict[str, dict[str, int]] = defaultdict(dict)
    for label, count in Counter(labels).items():
        folded = unicodedata.normalize("NFKC", label).casefold()
        alike[" ".join(re.split(r"[\s_-]+", folded))][label] = count
    return [
        Problem(
            "", ANNOTATIONS, next(iter(names)), "similar classes",
            f"{', '.join(f'{name!r} ({count})' for name, count in names.items())} are as many "
            "classes, though their names differ in case, blanks or hyphens only",
            "if they are one class, write them in one way",
        )
        for names in alike.values()
        if len(names) > 1
    ]  # fmt: skip


def timing_problems(facts: pd.DataFrame, in_frames: frozenset[str] = frozenset()) -> list[Problem]:
    """Pictures that start late, and files whose own statements about their times disagree.

    ``facts``: video_id, path, and the fields of ``VideoFacts``. ``in_frames``: the videos whose
    annotations count frames.
    """
    rows = facts.to_dict("records")
    problems = [
        Problem(
            row["video_id"], row["path"], "start", "picture starts late", said,
            "kept: its annotations must count as a player does; if those of all videos count from "
            "the first frame, set data.clock to frames",
        )
        for row in rows
        if (said := late_start(row["start"], row["fps"]))
    ]  # fmt: skip
    return problems + [
        Problem(
            row["video_id"], row["path"], "time stamps", "times in doubt", row["note"],
            "compare an action with what a player shows",
        )
        for row in rows
        if row["note"]
    ] + [
        Problem(
            row["video_id"], row["path"], "frame numbers", "times in doubt",
            "its annotations count frames, but its frames are not evenly spaced: their times were "
            f"taken at the mean rate, {row['fps']:.3f} a second",
            "compare an action with what a player shows, or annotate in seconds",
        )
        for row in rows
        if row["video_id"] in in_frames and row["variable_rate"]
    ]  # fmt: skip


def late_start(start: float, fps: float) -> str:
    """What is to be told of a picture that starts ``start`` seconds after zero, or nothing."""
    if start * fps < LATE_FRAMES:
        return ""
    return (
        f"its picture starts {start:.3f} s after the file's earliest stream, which is second 0 in "
        "players"
    )


def stated_problems(stated: pd.DataFrame, facts: pd.DataFrame) -> list[Problem]:
    """Where the annotations and the file differ by more than 2 %.

    ``stated``: video_id, duration (s), fps, n_frames, NaN where not stated; ``facts``: the same
    and ``path``. The files are trusted.
    """
    both = facts.merge(stated, on="video_id", suffixes=("", "_stated"))
    names = {"fps": "frames per second", "duration": "seconds", "n_frames": "frames"}
    problems = []
    for row in both.to_dict("records"):
        for name, unit in names.items():
            said, real = row[f"{name}_stated"], row[name]
            if abs(said - real) > DIFFERENCE * real:
                problems.append(
                    Problem(
                        row["video_id"],
                        row["path"],
                        "frame" if name == "n_frames" else name,
                        f"{'fps' if name == 'fps' else 'length'} mismatch",
                        f"the annotations say {said:g} {unit}, the file has {real:g}",
                        "the file is trusted; check that it is the version that was annotated",
                    )
                )
    return problems


def ground_truth_problems(
    videos: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, classes: Sequence[str]
) -> list[Problem]:
    """Splits, videos and classes without any usable ground truth.

    ``videos``: video_id, split; ``before`` and ``after``: instances as annotated and as usable;
    ``classes``: those that the detector is to learn.
    """
    splits = videos.set_index("video_id")["split"]
    shown = set(after["video_id"])
    problems = [
        Problem(
            "", ANNOTATIONS, key, "no ground truth left",
            f"none of the {len(here)} {split} videos that can be read has a usable action",
            "see the other problems; check data.classes_file and that segments are in seconds",
            fatal=True,
        )
        for split, names, key in (
            ("training", {"train", "holdout"}, "data.training_subset"),
            ("evaluation", {"test"}, "data.evaluation_subset"),
        )
        if shown.isdisjoint(here := splits.index[splits.isin(names)])
    ]  # fmt: skip
    lost = set(before["video_id"]) & set(splits.index) - shown
    problems += [
        Problem(
            video, ANNOTATIONS, "annotations", "no ground truth left",
            "none of its actions can be used", "kept as a video without actions",
        )
        for video in sorted(lost)
    ]  # fmt: skip
    learned = set(after.loc[after["video_id"].map(splits) == "train", "label"])
    problems += [
        Problem(
            "", ANNOTATIONS, str(name), "class without training actions",
            f"no training video shows '{name}'", "it cannot be learned; its precision will be 0",
        )
        for name in (classes if learned else ())
        if name not in learned
    ]  # fmt: skip
    return problems
