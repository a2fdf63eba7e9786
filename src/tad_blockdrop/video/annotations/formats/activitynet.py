"""ActivityNet's JSON: annotations as published or extended by others, and detections as results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from tad_blockdrop.video.annotations.formats.contract import Source, shortened
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    AnnotationError,
    Annotations,
    choice_problem,
    optional_number,
    seconds_of,
    shown,
    text_of,
)
from tad_blockdrop.video.problems import ANNOTATIONS, Problem

ACTIONS = {"annotations", "annotation"}  # the list of a video's actions; the latter is COIN's
FRAMES = "segment(frames)"


class ActivityNet:
    """The published layout, as OpenTAD extends it (``frame``, ``fps``) or as ActionFormer does.

    Of ActionFormer's extras, ``label_id`` gives the order of the classes; ``segment(frames)``, from
    0 on at the rate ``fps``, is used where there is no ``segment``. COIN calls a video's list of
    actions ``annotation``. Either all videos have a ``subset`` or none.
    """

    name = "ActivityNet JSON"
    layout = (
        '{"database": {video: {"subset": ..., "annotations": [{"segment": [s, e], "label": n}]}}}'
    )

    def recognise(self, content: object) -> bool:
        """Whether it is an object with the annotations or, by mistake, the results."""
        return isinstance(content, Mapping) and ("database" in content or "results" in content)

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The tables of a parsed file. Raises AnnotationError."""
        if "database" not in content:
            raise AnnotationError(
                "top level",
                "there is no 'database'",
                "this is a file of predictions, not of annotations",
            )
        database = self._mapping(content["database"], "database")
        if not database:
            raise AnnotationError("database", "it lists no video", "add your videos")
        entries = list(self._entries(database))
        names = source.names_of_own(video for _, video, _ in entries)
        split = any(entry.get("subset") is not None for _, _, entry in entries)
        stated: dict[str, tuple[str, str, float, float, float]] = {}
        instances, silent = [], []
        ids: dict[str, set[int | None]] = {}
        for where, written, entry in entries:
            video = names.get(written, written)
            if video in stated:
                raise AnnotationError(where, f"video '{video}' is there twice", "join its entries")
            subset = NO_SUBSET
            if split:
                subset = text_of(entry.get("subset"), f"{where}.subset", "name it, as 'training'")
            duration, fps, frames = (
                optional_number(entry.get(name), f"{where}.{name}")
                for name in ("duration", "fps", "frame")
            )
            stated[video] = video, subset, duration, fps, frames
            if ACTIONS.isdisjoint(entry):
                silent.append(video)
            for label, label_id, start, end in self._instances(entry, where, fps):
                instances.append((video, label, start, end))
                ids.setdefault(label, set()).add(label_id)
        if not instances:
            keys = dict.fromkeys(key for _, _, entry in entries for key in entry)
            raise AnnotationError(
                "database",
                f"no video has an action (found: the keys {shown(', '.join(map(str, keys)))})",
                f"list the actions of a video as in {self.layout}",
            )
        problems = list(map(choice_problem, shortened(names)))
        problems += [_no_list(silent)] if silent else []
        return Annotations.from_rows(stated.values(), instances, _in_order(ids), problems)

    def write(self, detections: pd.DataFrame, video_ids: Iterable[str]) -> dict[str, Any]:
        """Detections (video_id, start, end in s, label, score) as results, the field's exchange.

        ``{"version": ..., "results": {video: [{"label", "score", "segment": [start, end]}]}}``.
        Every video of ``video_ids`` has an entry, an empty one if nothing was found in it.
        """
        results: dict[str, list[dict[str, Any]]] = {video: [] for video in video_ids}
        for row in detections.to_dict("records"):
            segment = [round(float(row["start"]), 3), round(float(row["end"]), 3)]
            results[row["video_id"]].append(
                {"label": row["label"], "score": round(float(row["score"]), 5), "segment": segment}
            )
        return {"version": "VERSION 1.3", "results": results, "external_data": {"used": False}}

    def _entries(self, database: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Each video's place in the file, what it is called there, and what is said of it."""
        for key, value in database.items():
            where = f"database.{key}"
            yield where, text_of(key, where, "name the video"), self._mapping(value, where)

    def _instances(
        self, entry: Mapping[str, Any], where: str, fps: float
    ) -> Iterator[tuple[str, int | None, float, float]]:
        keys = sorted(ACTIONS.intersection(entry))
        if len(keys) > 1:
            raise AnnotationError(where, f"it has {' and '.join(keys)}", "join the two lists")
        key = keys[0] if keys else "annotations"
        annotations = entry.get(key)
        if annotations is None:
            return
        if not isinstance(annotations, list):
            raise AnnotationError(f"{where}.{key}", "it is not a list", "write [...]")
        for number, value in enumerate(annotations):
            here = f"{where}.{key}[{number}]"
            item = self._mapping(value, here)
            start, end = _segment(item, here, fps)
            label = text_of(item.get("label"), f"{here}.label", "name the action")
            label_id = item.get("label_id")
            yield label, label_id if type(label_id) is int else None, start, end

    def _mapping(self, value: object, where: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        advice = f"write an object, as in {self.layout}"
        raise AnnotationError(where, f"it is {shown(value)}", advice)


def _segment(item: Mapping[str, Any], where: str, fps: float) -> tuple[float, float]:
    """Start and end in seconds."""
    in_frames = "segment" not in item and FRAMES in item
    key = FRAMES if in_frames else "segment"
    segment = item.get(key)
    if not isinstance(segment, list) or len(segment) != 2:
        raise AnnotationError(
            f"{where}.{key}",
            f"it is {shown(segment)}" if key in item else "it is missing",
            "give [start, end] in seconds",
        )
    if in_frames and not fps > 0:
        raise AnnotationError(
            f"{where}.{key}", "the rate is missing", "state the video's fps, or give a 'segment'"
        )
    start, end = (seconds_of(value, f"{where}.{key}[{i}]") for i, value in enumerate(segment))
    return (start / fps, end / fps) if in_frames else (start, end)


def _no_list(videos: Sequence[str]) -> Problem:
    return Problem(
        videos[0], ANNOTATIONS, "annotations", "no list of actions",
        f"{len(videos)} video(s) have no list of actions, this one for example",
        "taken for videos without actions; write an empty list if they are",
    )  # fmt: skip


def _in_order(ids: Mapping[str, set[int | None]]) -> tuple[str, ...]:
    """Labels by their number if each has one of its own, otherwise by name."""
    numbers = {label: next(iter(found)) for label, found in ids.items() if len(found) == 1}
    known = [number for number in numbers.values() if number is not None]
    if len(known) == len(ids) == len(set(known)):
        return tuple(sorted(ids, key=lambda label: numbers[label] or 0))
    return tuple(sorted(ids))
