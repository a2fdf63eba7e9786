"""The JSON of MultiTHUMOS, which others made of Charades and Toyota Smarthome Untrimmed as well."""

from collections.abc import Mapping
from typing import Any

from tad_blockdrop.video.annotations.formats.contract import Collected, Source, mapping, sequence
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    AnnotationError,
    Annotations,
    given,
    number_of,
    optional_number,
    shown,
    text_of,
)


class MultiThumos:
    """``multithumos.json``, ``charades.json`` and their like.

    Classes are numbers, from 0 or from 1 on, which no list in the file explains: they are named by
    these.
    """

    name = "MultiTHUMOS JSON"
    layout = '{video: {"subset": ..., "duration": ..., "actions": [[class, start, end]]}}'

    def recognise(self, content: object) -> bool:
        """Whether it is an object of videos, one of which has a list of actions."""
        return isinstance(content, Mapping) and any(
            isinstance(entry, Mapping) and isinstance(entry.get("actions"), list)
            for entry in content.values()
        )

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The actions of all videos. Raises AnnotationError."""
        found = Collected(source)
        numbers: dict[str, int] = {}
        for key, value in content.items():
            video = text_of(key, shown(key), "name the video")
            entry = mapping(value, video)
            subset = entry.get("subset", NO_SUBSET)
            found.video(
                video,
                text_of(subset, f"{video}.subset", "name it") if given(subset) else NO_SUBSET,
                optional_number(entry.get("duration"), f"{video}.duration"),
            )
            for n, action in enumerate(sequence(entry.get("actions", []), f"{video}.actions")):
                where = f"{video}.actions[{n}]"
                label, start, end = _action(action, where, numbers)
                found.action(video, label, start, end)
        if numbers:
            found.note(
                "", "classes", f"its {len(numbers)} classes are numbers, and named by them: "
                f"'{next(iter(numbers))}' for example",
                "replace the numbers by names if people are to read them",
            )  # fmt: skip
        return found.annotations(sorted(numbers, key=lambda name: numbers[name]))


def _action(action: object, where: str, numbers: dict[str, int]) -> tuple[str, float, float]:
    """Class, start and end; ``numbers`` gets the number of a class that has no name."""
    parts = sequence(action, where)
    if len(parts) != 3:
        raise AnnotationError(
            where, f"{shown(action)} is no class, start and end", "write [class, start, end]"
        )
    label = text_of(parts[0], f"{where}[0]", "name or number the class")
    if type(parts[0]) is int:
        label = f"class_{label}"
        numbers[label] = parts[0]
    start, end = (number_of(parts[n], f"{where}[{n}]", "give seconds") for n in (1, 2))
    return label, start, end
