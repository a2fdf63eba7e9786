"""The annotation files (``.annot``) of Bento and MARS: bouts of behaviours, in channels."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.layers import chosen_layers
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    number_of,
    shown,
    text_of,
)

_TITLE = "bento annotation file"
_RATE = re.compile(r"^Annotation framerate:\s*([\d.]+)\s*$", re.IGNORECASE | re.MULTILINE)
_MOVIES = re.compile(  # of Bento in the line itself, of MARS in the next one
    r"^Movie file\(s\):[ \t]*\n?[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE
)
_MOVIE = re.compile(r"\S.*?\.[A-Za-z]\w{1,3}(?=\s|$)")  # with an ending; its path may hold blanks
_CHANNEL = re.compile(r"(.+?)-{3,}")


class _Bout(NamedTuple):
    """A row: where it is, and its start, stop and, mostly, duration as they are written."""

    where: str
    channel: str
    behaviour: str
    times: Sequence[str]


class Bento:
    """A header, then the channels, with the bouts of each behaviour below ``>`` and its name."""

    name = "Bento annotations"
    layout = "the .annot file"

    def recognise(self, content: object) -> bool:
        """Whether the first line says that it is one."""
        return isinstance(content, str) and content.lstrip().casefold().startswith(_TITLE)

    def read(self, content: str, source: Source) -> Annotations:
        """The bouts of all channels, or of the chosen one. Raises AnnotationError."""
        bouts = list(_bouts(content))
        # No line says which unit times have. Those that Bento writes are seconds and have decimals,
        # unless they happen to be whole; those of MARS and of Bento's first versions are frames,
        # which are whole throughout. So one decimal point makes seconds of all times of a file.
        seconds = any("." in time for bout in bouts for time in bout.times)
        stated = _RATE.search(content)
        rate = number_of(stated[1], "Annotation framerate") if stated else math.nan
        found = Collected(source, "s" if seconds else "frames")
        video = _video(content, source, found)
        found.video(video, fps=rate)
        channels = chosen_layers(Counter(bout.channel for bout in bouts), "channel", found)
        for bout in bouts:
            if bout.channel not in channels:
                continue
            start, length = _span(bout, 1 / rate if seconds and rate > 0 else float(not seconds))
            start -= not seconds  # frames count from 1
            if length:
                found.action(video, bout.behaviour, start, start + length)
            else:
                found.point(video, bout.behaviour, start)
        return found.annotations()


def _span(bout: _Bout, frame: float) -> tuple[float, float]:
    """Start and length. ``frame``: the length of one, 0 where that is not known.

    In most versions a bout stops at its last frame, which is part of it: it then lasts a frame
    longer than from start to stop, and its duration says so. Raises AnnotationError.
    """
    start, stop, *duration = (number_of(time, bout.where) for time in bout.times)
    if not duration:
        return start, stop - start + frame
    if frame and abs(duration[0] - (stop - start)) > 1.1 * frame:
        raise AnnotationError(
            bout.where, f"its duration is {duration[0]:g}, but from start to stop it is "
            f"{stop - start:g}", "correct it, or save the file again in Bento",
        )  # fmt: skip
    return start, duration[0]


def _video(content: str, source: Source, found: Collected) -> str:
    """The first movie, or what the file is called after. MARS' recordings end in ``.seq``."""
    line = _MOVIES.search(content)
    movies = _MOVIE.findall(line[1]) if line else []
    if not movies:
        return source.video()
    if len(movies) > 1:
        found.left_out(
            "further videos, which show what the first shows",
            "annotate them in files of their own", source.name, len(movies) - 1,
        )  # fmt: skip
    path = movies[0].removesuffix(".seq")
    return found.names([path])[path]


def _bouts(content: str) -> Iterator[_Bout]:
    """The rows of all channels. Raises AnnotationError."""
    channel = behaviour = ""
    for number, line in enumerate(map(str.strip, content.splitlines()), 1):
        where = f"line {number}"
        if named := _CHANNEL.fullmatch(line):
            channel, behaviour = named[1], ""
        elif not channel or not line or line.casefold().startswith("start"):
            continue
        elif line.startswith(">"):
            behaviour = text_of(line[1:], where, "name the behaviour")
        else:
            cells = line.split()
            if not behaviour or len(cells) < 2:
                raise AnnotationError(
                    where, f"{shown(line)} is no start and stop of a behaviour",
                    "save the file again in Bento",
                )  # fmt: skip
            yield _Bout(where, channel, behaviour, cells[:3])
