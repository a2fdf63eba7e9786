"""Annotations and corrections as one annotations file, for training.

The corrections of a video count once it is finished, or if it was annotated before: of any other
video nobody has said that the rest of it is background. What is left out is told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import ValidationError

from tad_blockdrop.config import DataConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.corrections import Entry, Segment, by_video, replay
from tad_blockdrop.video.annotations import Annotations
from tad_blockdrop.video.dataset import listed_videos


class MergeError(BlockDropError):
    """Annotations and corrections that cannot stand in one file."""


Row = tuple[str, float, float]  # label, start and end in seconds


@dataclass(frozen=True)
class Merged:
    """An annotations file in ActivityNet's layout, and a sentence for all that was left out."""

    content: dict[str, Any]
    told: list[str]


def segment_of(label: str, start: float, end: float) -> Segment | None:
    """A row of annotations as a segment; None for one that is none, as it ends before it starts."""
    try:
        return Segment(label=label, start=start, end=end)
    except ValidationError:
        return None


def rows_by_video(stated: pd.DataFrame, instances: pd.DataFrame) -> dict[str, list[Row]]:
    """The annotated actions of every stated video, in the order of the file."""
    rows: dict[str, list[Row]] = {str(video): [] for video in stated["video_id"]}
    columns = instances[["video_id", "label", "start", "end"]]
    for video, label, start, end in columns.itertuples(index=False):
        rows[video].append((label, start, end))
    return rows


def merge(annotations: Annotations | None, entries: Iterable[Entry], data: DataConfig) -> Merged:
    """The annotations with all corrections made; videos that are new go to the training subset.

    Annotations that nobody has changed stay exactly as they are, and videos stay in their subsets:
    where the annotations name none, in those that ``data`` splits them into. Of two videos that
    share an id one gets another (``corrections.by_video``), and new ones state the ``content`` of
    their file, if it is known. Raises MergeError where annotations count frames whose rate they do
    not say.
    """
    if annotations is not None and annotations.in_frames:
        raise MergeError(
            f"the annotations of {len(annotations.in_frames)} video(s) count frames: set "
            "data.reading.frame_rate to the frames per second that they were counted at"
        )
    rows = {} if annotations is None else rows_by_video(annotations.stated, annotations.instances)
    facts = {} if annotations is None else _stated(annotations, data)
    told: list[str] = []
    for video, own in by_video(entries, rows.keys()).items():
        known = {segment_of(*row): row for row in rows.get(video, ())}
        truth = replay([segment for segment in known if segment is not None], own)
        told += [f"{video}: {what}" for what in truth.conflicts + truth.overlaps()]
        if video not in rows and not truth.finished:
            told.append(f"{video}: left out, because it is neither annotated nor finished")
            continue
        odd = [row for row in rows.get(video, ()) if segment_of(*row) is None]
        made = [known.get(s, (s.label, s.start, s.end)) for s in truth.segments]
        rows[video] = sorted(odd + made, key=lambda row: (row[1], row[2], row[0]))
        facts.setdefault(video, _of_new(own, data))
        if video != own[0].video:
            told.append(
                f"{video}: another video than '{own[0].video}'; where a job is to find its file by "
                "name, call both so"
            )
    classes = () if annotations is None else annotations.classes
    new = sorted({label for found in rows.values() for label, _, _ in found} - set(classes))
    return Merged(_database(rows, facts, (*classes, *new)), told)


def _of_new(entries: Sequence[Entry], data: DataConfig) -> dict[str, Any]:
    content = next((entry.content for entry in entries if entry.content), None)
    return {"subset": data.training_subset} | ({"content": content} if content else {})


def _stated(annotations: Annotations, data: DataConfig) -> dict[str, dict[str, Any]]:
    """What is written of each listed video: its subset and, where known, length, rate, frames."""
    listed, _ = listed_videos(annotations, data)
    subsets = {"train": data.training_subset, "test": data.evaluation_subset}
    chosen = dict(zip(listed["video_id"], listed["split"].map(subsets), strict=True))
    names = {"duration": "duration", "fps": "fps", "n_frames": "frame"}
    return {
        row["video_id"]: {
            "subset": row["subset"] or chosen.get(row["video_id"], data.training_subset),
            **{key: row[name] for name, key in names.items() if pd.notna(row[name])},
        }
        for row in annotations.stated.to_dict("records")
    }


def _database(
    rows: dict[str, list[Row]], facts: dict[str, dict[str, Any]], classes: Iterable[str]
) -> dict[str, Any]:
    ids = {label: number for number, label in enumerate(classes)}
    return {
        "database": {
            video: facts[video]
            | {
                "annotations": [
                    {"label": label, "label_id": ids[label], "segment": [start, end]}
                    for label, start, end in found
                ]
            }
            for video, found in rows.items()
        }
    }
