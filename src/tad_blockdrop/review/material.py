"""What a model learns again from: its dataset with all corrections made, and videos new to it.

Videos stay what they are in the dataset: none that was held out or tested on is ever learned from.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.config import DataConfig, LearnConfig, RuntimeConfig, WindowConfig
from tad_blockdrop.detector.checkpoint import (
    Checkpoint,
    CheckpointError,
    composed,
    require_classes,
)
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.corrections import Edit, Entry, Judge, active
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.annotations import Annotations
from tad_blockdrop.video.dataset import build_dataset
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.identity import ids_of_one_video
from tad_blockdrop.video.files.probing import FACTS, probe_files
from tad_blockdrop.video.files.proxies import source_fingerprint
from tad_blockdrop.video.problems import Problem
from tad_blockdrop.video.windows.cutting import trained_on


class LearnError(BlockDropError):
    """A model cannot learn from these corrections: every reason."""


@dataclass(frozen=True, eq=False)
class Stated:
    """What is said to be true: ``annotations``, with all corrections made.

    They are of the ``known`` dataset, with the ``facts`` of its videos as probed, and of ``new``
    videos, by id; ``problems`` are those of the new ones.
    """

    known: ActionDataset
    facts: pd.DataFrame
    annotations: Annotations
    new: Mapping[str, Path]
    problems: list[Problem]


@dataclass(frozen=True, eq=False)
class Material:
    """The ``known`` dataset as corrected, the ``new`` training videos as probed, and problems."""

    known: ActionDataset
    new: ActionDataset
    problems: list[Problem]


def refuse_unlearnable(
    before: Checkpoint,
    known: ActionDataset,
    entries: list[Entry],
    data: DataConfig,
    learn: LearnConfig,
) -> None:
    """Raise LearnError unless ``before``, a model, can learn from the ``entries``, and be judged.

    ``known``: the experiment's dataset. All that is wrong is told at once.
    """
    model = "final_checkpoint" if learn.checkpoint is None else "learn.checkpoint"
    wrong: list[str] = []
    if not active(entries):
        wrong.append("all corrections were taken back: make some with kedro review")
    try:
        require_classes(before, known.classes, model)
    except CheckpointError as error:
        wrong.append(str(error))
    if not data.class_agnostic and (new := _new_classes(entries, before.classes)):
        wrong.append(
            f"corrections name classes that the model does not detect: {', '.join(new)}. Change "
            "them with kedro review, or train a new model on the annotations that kedro run "
            "--pipeline corrections writes"
        )
    if (before.window, before.every, before.fps) != (data.window, data.every, data.fps):
        wrong.append(
            f"{model} was trained with another data.window, data.every or data.fps than this "
            "experiment has: set these to what its config.json says, in a new experiment"
        )
    refuse([*wrong, *unjudged(known, learn)])


def unjudged(known: ActionDataset, learn: LearnConfig) -> list[str]:
    """Why no model that learns from ``known`` can be judged as ``learn.adopt`` asks, if so."""
    if learn.adopt != "if_not_worse" or known.held_out():
        return []
    return [
        "no held-out video has an action to judge the new model by: set learn.adopt to always or "
        "never, or hold videos out (data.holdout: 0.15) in a new experiment"
    ]


def refuse(wrong: list[str]) -> None:
    """Raise LearnError with all that is ``wrong``, if anything is."""
    if wrong:
        raise LearnError("nothing can be learned yet:\n" + "\n".join(f"  {w}" for w in wrong))


def _new_classes(entries: Iterable[Entry], classes: Iterable[str]) -> list[str]:
    changes = [change for entry in active(entries) for change in entry.changes]
    judged = [change.truth for change in changes if isinstance(change, Judge)]
    edited = [change.after for change in changes if isinstance(change, Edit)]
    labels = {segment.label for segment in judged + edited if segment is not None}
    known = set(composed(classes))
    return sorted(label for label in labels if not known.issuperset(composed([label])))


def gather(
    before: Checkpoint, stated: Stated, data: DataConfig, runtime: RuntimeConfig, cache: Path
) -> Material:
    """Probe the new videos and hold all that is ``stated`` against the files.

    ``before``: the model that learns; ``cache``: as in ``probe_files``. Raises LearnError for facts
    of an older version.
    """
    if lost := set(FACTS) - set(stated.facts):
        raise LearnError(
            f"video_facts is from an older version (it lacks {', '.join(sorted(lost))}): run kedro "
            "run --pipeline validate once, with the same --env and --params"
        )
    known = stated.known
    timing = Timing.of(data)
    files = {video: (path, timing) for video, path in stated.new.items()}
    strict = data.on_missing == "error"
    facts, unreadable = probe_files(files, runtime.workers, runtime.decode_timeout, strict, cache)
    # What is held out has been decided: of the new videos none is.
    found = build_dataset(
        stated.annotations,
        pd.concat([table for table in (stated.facts, facts) if len(table)], ignore_index=True),
        data.model_copy(update={"holdout": 0.0}),
        None if data.class_agnostic else composed(before.classes),
    )
    # As the dataset spells them, which may be of before names got one Unicode form.
    spelled = dict(zip(composed(known.classes), known.classes, strict=True))
    names = {name: found.instances[name].replace(spelled) for name in ("label", "category")}
    instances = found.instances.assign(**names)
    added = found.videos[found.videos["video_id"].isin(facts["video_id"])]
    added = added[added["split"] == "train"].reset_index(drop=True)

    def part(videos: pd.DataFrame) -> ActionDataset:
        inside = instances["video_id"].isin(videos["video_id"])
        return ActionDataset(videos, instances[inside], known.classes)

    problems = [*stated.problems, *unreadable, *found.problems]
    return Material(part(known.videos), part(added), problems)


def new_videos(
    entries: list[Entry],
    merged: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Path],
    files: Mapping[str, Mapping[str, str]],
    strict: bool,
) -> tuple[dict[str, Path], list[Problem]]:
    """The files of the corrected videos in ``merged`` that are none of the ``known`` ones.

    ``merged``: what ``merge`` states, by video id; ``known``: files by video id; ``files``: those
    of all predictions (``Reviewed``). ``strict``: a file that is gone is fatal. A copy of a known
    video is left out, so that nothing that is held out or tested on is learned from.
    """
    contents = {video: row.get("content") for video, row in merged.items() if video not in known}
    places: dict[str, dict[str, None]] = {}
    newest: dict[str, list[str]] = {}
    for entry in active(entries):
        for name in entry.names:
            if name in contents and entry.content in (None, contents[name]):
                own = files.get(entry.predictions, {}).get(entry.video)
                places.setdefault(name, {}).update({own: None} if own else {})
                all_of = [table[entry.video] for table in files.values() if entry.video in table]
                newest[name] = all_of[-1:]
    problems: list[Problem] = []
    found: dict[str, Path] = {}
    for video, paths in places.items():
        path, problem = _one_file(video, list(paths) or newest[video], contents[video], strict)
        if path:
            found[video] = path
        problems += [problem] if problem else []
    there = {video: path for video, path in known.items() if path.exists()}
    for first, *copies in ids_of_one_video(there | found):
        for video in copies:
            if video in found:
                problems.append(
                    Problem(
                        video, str(found.pop(video)), "video id", "one video, two ids",
                        f"it is the same video as '{first}'",
                        "left out; correct it under that name",
                    )
                )  # fmt: skip
    return found, problems


def _one_file(
    video: str, paths: list[str], content: str | None, strict: bool
) -> tuple[Path | None, Problem | None]:
    """The one file of a corrected video that is there, or why there is none."""
    if content:
        there = [path for path in paths if Path(path).exists()]
        same = [path for path in there if source_fingerprint(path) == content]
        if there and not same:
            return None, Problem(
                video, there[0], "video id", "missing file",
                "it is not the file that was predicted and corrected",
                "put that one back there, or set data.on_missing to skip", strict,
            )  # fmt: skip
        paths = (same or paths)[:1]
    if len(paths) > 1:
        return None, Problem(
            video, paths[0], "video id", "two videos, one id",
            f"there are corrections of this file and of {paths[1]}",
            "left out; give one of the files another name, then predict and correct both again",
        )  # fmt: skip
    if not paths:
        return None, Problem(
            video, "", "video id", "missing file",
            "the predictions that were corrected are gone, and with them where its file is",
            "left out; run the predict pipeline on it once more",
        )  # fmt: skip
    path = Path(paths[0])
    if path.exists():
        return path, None
    return None, Problem(
        video, paths[0], "video id", "missing file", "it is not where it was predicted",
        "put it back there, or set data.on_missing to skip", strict,
    )  # fmt: skip


def untaught(entries: list[Entry], dataset: ActionDataset, window: WindowConfig) -> list[str]:
    """The corrected training videos of which nothing is learned: they show no action to learn.

    Training draws its windows from videos with actions only (``windows.loading``).
    """
    corrected = {name for entry in active(entries) for name in entry.names}
    return [
        record.video_id
        for record in dataset.records("train")
        if record.video_id in corrected and not len(trained_on(record, window).labels)
    ]


def counted(actions: pd.DataFrame, classes: Iterable[str]) -> dict[str, int]:
    """How many of the ``actions`` (label) there are of each class."""
    counts = Counter(actions["label"])
    return {name: counts[name] for name in classes}
