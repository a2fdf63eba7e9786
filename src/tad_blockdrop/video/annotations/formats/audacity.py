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

_MANY = 1000  # whole numbers of seconds as large as this are milliseconds, or frames
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
        times: list[str] = []
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip() or line.startswith("\\"):
                continue
            where = f"line {number}"
            if _LINE.fullmatch(line) is None:
                raise AnnotationError(where, f"{shown(line)} is no label", "export them again")
            *cells, text = [cell.strip() for cell in f"{line}\t".split("\t", 2)]
            times += cells
            start, end = (number_of(cell.replace(",", "."), where) for cell in cells)
            if not text:
                found.left_out("labels without a text", "name the actions", where)
                continue
            label = text_of(text, f"{where}, label", "name the action")
            if start == end:
                found.point(video, label, start)
            else:
                found.action(video, label, start, end)
        _refuse_other_units(times)
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


def _refuse_other_units(times: Sequence[str]) -> None:
    """Raise AnnotationError where the times cannot be seconds, which Audacity writes in parts."""
    if all(time.lstrip("-").isdigit() for time in times):
        longest = max(map(int, times), default=0)
        if longest >= _MANY:
            raise AnnotationError(
                "times", f"all are whole numbers, up to {longest}: they look like milliseconds, as "
                "ELAN exports them, or frames",
                "export seconds with decimals (in ELAN ss.msec), or give the .eaf file of ELAN; if "
                f"they are seconds, write them with a decimal point ({longest}.0)",
            )  # fmt: skip
