"""Ego4D's moments queries: clips of long videos, annotated by several people."""

from collections.abc import Mapping
from typing import Any

from tad_blockdrop.video.annotations.formats.contract import Collected, Source, mapping, sequence
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    Annotations,
    number_of,
    optional_number,
    text_of,
)


class Ego4D:
    """``moments_train.json`` and its like. The videos are the clips, as only they are annotated.

    Of the labels those marked as primary count, which are the ones that the benchmark uses; what
    several people marked alike counts once.
    """

    name = "Ego4D moments"
    layout = "moments_train.json"

    def recognise(self, content: object) -> bool:
        """Whether it lists videos with clips."""
        videos = content.get("videos") if isinstance(content, Mapping) else None
        return (
            isinstance(videos, list)
            and len(videos) > 0
            and isinstance(videos[0], Mapping)
            and "clips" in videos[0]
        )

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The tables of all clips. Raises AnnotationError."""
        found = Collected(source)
        for n, value in enumerate(content["videos"]):
            entry = mapping(value, f"videos[{n}]")
            subset = entry.get("split") or NO_SUBSET
            subset = text_of(subset, f"videos[{n}].split", "name it") if subset else NO_SUBSET
            for k, part in enumerate(sequence(entry.get("clips", []), f"videos[{n}].clips")):
                where = f"videos[{n}].clips[{k}]"
                _clip(mapping(part, where), subset, found, where)
        return found.annotations()


def _clip(clip: Mapping[str, Any], subset: str, found: Collected, where: str) -> None:
    video = text_of(clip.get("clip_uid"), f"{where}.clip_uid", "name the clip")
    start, end = (
        optional_number(clip.get(f"video_{key}_sec"), f"{where}.video_{key}_sec")
        for key in ("start", "end")
    )
    found.video(video, subset, end - start)
    marked: set[tuple[str, float, float]] = set()
    for n, value in enumerate(sequence(clip.get("annotations") or [], f"{where}.annotations")):
        here = f"{where}.annotations[{n}]"
        labels = sequence(mapping(value, here).get("labels") or [], f"{here}.labels")
        for k, item in enumerate(labels):
            place = f"{here}.labels[{k}]"
            label = mapping(item, place)
            if not label.get("primary", True):
                found.left_out("labels that are not primary", "", f"clip {video}")
                continue
            name = text_of(label.get("label"), f"{place}.label", "name the action")
            first, last = (
                number_of(label.get(key), f"{place}.{key}", "give seconds")
                for key in ("start_time", "end_time")
            )
            if (name, first, last) not in marked:
                marked.add((name, first, last))
                found.action(video, name, first, last)
