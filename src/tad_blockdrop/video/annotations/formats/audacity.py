"""Audacity's label tracks: a line per label, with tabs between start, end and text."""

import re
from collections.abc import Sequence

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.writing import LabelledVideo, one_line
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    number_of,
    shown,
    text_of,
)
from tad_blockdrop.video.files.listing import file_name

_LINE = re.compile(r"\s*-?\d+([.,]\d+)?\t-?\d+([.,]\d+)?(\t.*)?")


class Audacity:
    """``<video>.txt``, without a header; a line that begins with a backslash is of frequencies."""

    name = "Audacity labels"
    layout = "<video>.txt with start, end and label between tabs, without a header"

    def recognise(self, content: object) -> bool:
        """Whether the first line is a label."""
        if not isinstance(content, str):
            return False
        first = next((line for line in content.splitlines() if line.strip()), "")
        return _LINE.fullmatch(first) is not None

    def read(self, content: str, source: Source) -> Annotations:
        """The labels; those without a length are points. Raises AnnotationError."""
        found = Collected(source)
        video = source.video("_labels")
        found.video(video)
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip() or line.startswith("\\"):
                continue
            where = f"line {number}"
            if _LINE.fullmatch(line) is None:
                raise AnnotationError(where, f"{shown(line)} is no label", "export them again")
            first, last, *text = line.split("\t", 2)
            start, end = (
                number_of(cell.strip().replace(",", "."), where) for cell in (first, last)
            )
            if not "".join(text).strip():
                found.left_out("labels without a text", "name the actions", where)
                continue
            label = text_of("".join(text), f"{where}, label", "name the action")
            if start == end:
                found.point(video, label, start)
            else:
                found.action(video, label, start, end)
        return found.annotations()

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """A file for each video."""
        return {
            file_name(video.video_id, ".txt"): "".join(
                f"{action.start:.6f}\t{action.end:.6f}\t{one_line(action.label)}\n"
                for action in sorted(video.actions, key=lambda a: (a.start, a.end))
            )
            for video in videos
        }
