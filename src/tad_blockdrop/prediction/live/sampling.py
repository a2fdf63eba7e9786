"""Pictures as they come, and which samples show them: the rule of ``video/files/sampling.py``.

The rate of a video counts from all its time stamps; here the first pictures have to tell it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.video.files.clock import (
    DEFAULT_RATE,
    PLAYER,
    ClockError,
    build_timeline,
    read_header,
)
from tad_blockdrop.video.files.container import BARE_FORMATS, decoded
from tad_blockdrop.video.files.sampling import EPSILON, count_samples_at

HEAD = 25  # pictures that tell the rate
_BELIEVED = 0.1  # difference up to which the rate of a header stands for one that varies
_GAP = 3.0  # of the usual time between two pictures: what is longer may be a gap
_MOST_GAPS = 1 / 8  # of the times between pictures; where more are as long, that is how they come
_MOST_ERRORS = 100  # damaged packets in a row before a source counts as unreadable


def pictures(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The pictures of a source, each with a time stamp (``pts``), in the order they are shown.

    What cannot be decoded is left out, as after packets that were lost on their way. Pictures of
    bare streams, which have no time stamps, are numbered. Raises FFmpegError.
    """
    numbered = container.format.name in BARE_FORMATS
    count = 0
    for frame in _decodable(container, stream):
        frame.pts = count if numbered else frame.dts if frame.pts is None else frame.pts
        if frame.pts is not None:
            count += 1
            yield frame


def _decodable(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    errors = 0
    shape: Any = Fraction(1)
    while True:
        try:
            for frame in decoded(container, stream):
                errors, shape = 0, frame.opaque
                yield frame
            return
        except av.error.InvalidDataError:
            errors += 1
            if errors > _MOST_ERRORS:
                raise
        except av.error.ExitError:  # nothing came for too long
            for frame in stream.codec_context.decode(None):  # those that the decoder still holds
                frame.opaque = Fraction(shape)  # of its own, as in ``decoded``
                yield frame
            raise


@dataclass(frozen=True)
class Rhythm:
    """``fps`` pictures per second, always or on average; ``tick``: seconds of a time stamp."""

    fps: float
    constant: bool
    tick: float

    def first_sample(self, second: float, rate: float) -> int:
        """The first of ``rate`` samples per second that shows the picture of that second."""
        number = self._number(second)
        if number is not None:
            return max(0, math.ceil((number - EPSILON) * rate / self.fps))
        return max(0, math.ceil((second - min(self.tick / 2, 1e-3) - 1e-9) * rate))

    def end(self, second: float, length: int) -> float:
        """When the picture of that second ends, if nothing follows; ``length``: ticks, or 0."""
        number = self._number(second)
        if number is not None:
            return (number + 1) / self.fps
        return second + (length * self.tick or 1 / self.fps)

    def count(self, end: float, rate: float) -> int:
        """How many samples there are up to the ``end``."""
        if self._number(end) is not None:
            return max(1, self.first_sample(end, rate))
        return count_samples_at(end, rate)

    def _number(self, second: float) -> int | None:
        """Which picture is shown then, if they come at a constant rate and this one in time."""
        number = round(second * self.fps)
        off = abs(second - number / self.fps)
        in_time = self.constant and off <= min(self.tick, 0.25 / self.fps) + 1e-9
        return number if in_time else None


def rhythm_of(
    container: InputContainer, stream: VideoStream, stamps: Sequence[int], last_length: int
) -> Rhythm:
    """What the time stamps of the first pictures and the header say.

    ``last_length``: ticks for which the last of them is shown, 0 where that is not known.
    """
    header = read_header(container, stream, PLAYER, None, stamps)
    numbered = container.format.name in BARE_FORMATS
    try:
        line = build_timeline(stamps, [], last_length, header)
    except ClockError:  # its rates disagree, and no stamps say which is true
        fps = next(iter(header.rates.values()), DEFAULT_RATE)
        return Rhythm(fps, True, 1 / fps if numbered else header.tick)
    measured = _rate_between_gaps(stamps, line.tick) or line.fps
    stated = [rate for rate in header.rates.values() if abs(rate / measured - 1) < _BELIEVED]
    fps = stated[0] if line.variable_rate and stated else measured
    return Rhythm(fps, not line.variable_rate, 1 / fps if numbered else line.tick)


def _rate_between_gaps(stamps: Sequence[int], tick: float) -> float | None:
    """Pictures per second where none are missing; None if there is no gap, or all may be gaps.

    A gap among so few pictures would change their mean rate much, and with it all that follows.
    """
    between = np.diff(stamps)
    if len(between) == 0:
        return None
    gaps = between > _GAP * np.median(between)
    few = max(1, _MOST_GAPS * len(between))
    usual = float(between[~gaps].mean()) * tick
    return 1 / usual if 0 < gaps.sum() <= few and usual > 0 else None
