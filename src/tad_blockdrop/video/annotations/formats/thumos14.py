"""THUMOS14's own texts, one for each class and subset; those of MultiTHUMOS look the same."""

import re
from collections.abc import Iterator
from dataclasses import replace

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    seconds_of,
    shown,
)

_LINE = re.compile(r"(\w*video_(validation|test)_\d+)\s+(\S+)\s+(\S+)")
_NO_CLASS = "Ambiguous"


class Thumos14:
    """``BaseballPitch_val.txt`` and its like: a line per action, with its video, start and end.

    The class is the file's name, the subset is that in the video's. A video has lines in the files
    of all its classes.
    """

    name = "THUMOS14 text"
    layout = "<class>_val.txt and <class>_test.txt with video, start and end in each line"

    def recognise(self, content: object) -> bool:
        """Whether the first line begins with a video's name as this dataset gives them."""
        return isinstance(content, str) and _LINE.match(content.lstrip()) is not None

    def read(self, content: str, source: Source) -> Annotations:
        """The actions of the file's class. Raises AnnotationError."""
        found = Collected(source)
        label = source.called("class", "_val", "_test")
        for where, (video, subset, *times) in _lines(content):
            start, end = (seconds_of(time, where) for time in times)
            if label == _NO_CLASS:
                found.left_out("actions of no class (Ambiguous), which count as background", "",
                               source.name)  # fmt: skip
            else:
                found.video(video, subset)
                found.action(video, label, start, end)
        return replace(found.annotations(), of_one_class=True)


def _lines(content: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where each line is, with its video, subset, start and end. Raises AnnotationError."""
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise AnnotationError(
                f"line {number}", f"{shown(line)} is no video, start and end",
                "write lines as 'video_validation_0000266 72.80 76.40'",
            )  # fmt: skip
        yield f"line {number}", parts.groups()
