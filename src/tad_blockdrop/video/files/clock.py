"""The clock of a video: what its seconds count from, and when each frame is shown.

Zero is where the earliest stream of the file starts, sound included: so FFmpeg, VLC, browsers and
annotation tools show it. A picture that starts later keeps its offset. With ``data.clock: frames``
zero is the first frame and frame n is shown at n / rate, as the published datasets count.

Time stamps are believed where a file has usable ones; ``note`` says so where its headers disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from tad_blockdrop.config.data import Clock, DataConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.video.files.container import BARE_FORMATS, PICTURES

DEFAULT_RATE = 25.0  # of a single picture without any timing
DIFFERENCE = 0.02  # by which rates and lengths may differ and still count as the same
SLACK = 0.5  # seconds of difference between lengths that say nothing
MICROSECOND = 1e-6  # to which the start of a file is rounded
LATEST_START = 24 * 3600.0  # seconds after which a picture may start
MOST_RATE = 1000.0  # frames per second; some headers give the ticks of their clock for a rate
# Formats without a time stamp for what is shown: frames have numbered slots, as they are decoded.
SLOTS = ("avi", "gxf")
LENGTHS = ("avi", "mov,")  # formats, by their beginning, that say the length of each stream

Stamps = npt.NDArray[np.int64]


class ClockError(BlockDropError):
    """Nothing in a file says when its frames are shown: what is wrong and what to do."""


@dataclass(frozen=True)
class Timing:
    """How the seconds of videos are counted: ``data.clock`` and ``data.picture_rate``.

    ``picture_rate``: pictures per second of folders of numbered pictures, which do not say it.
    """

    clock: Clock = "player"
    picture_rate: float | None = None

    @classmethod
    def of(cls, data: DataConfig) -> "Timing":
        """As the settings say."""
        return cls(data.clock, data.picture_rate)


PLAYER = Timing()


@dataclass(frozen=True)
class Header:
    """What a file says of its video before a frame is read.

    ``rates``: frames per second, by what says so. ``tick``: seconds of one unit of its time stamps.
    ``zero``: the second, by these, at which the earliest stream starts. ``first``: the time stamp
    at which its first packet is decoded. ``duration``: seconds, None where it is not said.
    ``kind``: ffmpeg's name of the format.
    """

    kind: str
    rates: Mapping[str, float]
    tick: float
    zero: float = 0.0
    first: int | None = None
    duration: float | None = None


@dataclass(frozen=True, eq=False)
class Timeline:
    """When each frame of a video is shown.

    ``times`` (n,): seconds of the clock, increasing. ``duration``: the second at which the last
    frame ends. ``fps``: the constant rate, or the mean one where ``variable_rate``; the constant
    one still where only the last frame is shown longer. ``tick``: seconds of one unit of the file's
    time stamps. ``stamps`` (n,): these, or None where they are unusable and only the order counts.
    ``note``: what disagreed and what was believed, or empty.
    """

    times: npt.NDArray[np.float64]
    stamps: Stamps | None
    duration: float
    fps: float
    variable_rate: bool
    tick: float
    note: str = ""

    @property
    def start(self) -> float:
        """The second at which the first frame is shown."""
        return float(self.times[0])


def read_header(
    container: InputContainer,
    stream: VideoStream,
    timing: Timing,
    first: int | None,
    shown: Sequence[int | None],
) -> Header:
    """The header of an opened file: of a bare stream only the codec's own one.

    That is complete once a frame has been decoded. ``first``: as in ``Header``; ``shown``: the
    time stamps of the packets. A picture without sound is the earliest stream itself, whatever
    start its file claims.
    """
    kind = container.format.name
    rates = {"average rate": stream.average_rate, "guessed rate": stream.guessed_rate}
    if kind in BARE_FORMATS:
        rates = {"header": stream.codec_context.framerate}
    known = {name: float(rate) for name, rate in rates.items() if rate}
    if kind == PICTURES:
        known = {"stated rate": timing.picture_rate} if timing.picture_rate else {}
    tick = float(stream.time_base or 1e-3)
    zero = (container.start_time or 0) / av.time_base
    stamps = [stamp for stamp in shown if stamp is not None]
    if stamps and sum(other.type in ("audio", "video") for other in container.streams) == 1:
        zero = min(stamps) * tick
    return Header(
        kind=kind,
        rates=known,
        tick=tick,
        zero=zero,
        first=first,
        duration=stream.duration * tick if stream.duration else None,
    )


def build_timeline(
    shown: Sequence[int | None],
    decoded: Sequence[int | None],
    last_length: int,
    header: Header,
    clock: Clock = "player",
) -> Timeline:
    """A timeline from two time stamps of each frame, in the order in which frames are shown.

    ``shown``: when it is shown; ``decoded``: of the packet whose decoding gave it, None for the
    last few. ``last_length``: ticks for which the last frame is shown. Raises ClockError where
    nothing says when frames are shown.
    """
    line = _by_stamps(shown, decoded, last_length, header) or _by_rates(shown, header)
    if clock == "player":
        return _with_held_frame(line, last_length * header.tick, header)
    rate = header.rates.get("average rate", line.fps) if line.variable_rate else line.fps
    counted = _constant(len(line.times), rate, 0.0, header.tick, line.stamps)
    return replace(counted, note=line.note)


def _by_stamps(
    shown: Sequence[int | None],
    decoded: Sequence[int | None],
    last_length: int,
    header: Header,
) -> Timeline | None:
    """The timeline that the time stamps tell, or None where they are unusable."""
    if header.kind in BARE_FORMATS or header.kind == PICTURES:
        return None
    stamps = _rising(shown)
    if header.kind not in SLOTS and stamps is not None:
        return _stamped(stamps, last_length, header, stamps[0] * header.tick - header.zero)
    # The decoder holds the first few back. Each then comes out with the packet that is decoded
    # when it is to be shown; the first slots are taken for theirs, unless empty ones follow.
    slots = _rising(_completed(decoded))
    if slots is None:
        return None
    held, step = decoded.count(None), np.median(np.diff(slots)) if len(slots) > 1 else 1
    first = slots[0]
    if header.first is not None and first - header.first <= (held + 1) * step:
        first = header.first
    line = _stamped(slots, last_length, header, first * header.tick - header.zero)
    return replace(line, stamps=stamps)


def _with_held_frame(line: Timeline, last: float, header: Header) -> Timeline:
    """The same to the end of its last frame, which is shown for ``last`` seconds.

    Of a constant rate, if this is much longer and the length in the header does not deny it.
    """
    if line.variable_rate or line.stamps is None or header.kind in SLOTS:
        return line
    seconds = float(line.times[-1]) - line.start + last
    denied = header.duration is not None and abs(header.duration - seconds) > SLACK
    if last - 1 / line.fps <= SLACK or denied:
        return line
    note = _disagreement(header, line.fps, seconds, line.start)
    return replace(line, duration=line.start + seconds, variable_rate=True, note=note)


def _rising(stamps: Sequence[int | None]) -> Stamps | None:
    """The time stamps as an array, if all are there and each is later than the one before."""
    known = np.array([stamp for stamp in stamps if stamp is not None], dtype=np.int64)
    usable = len(known) == len(stamps) > 0 and (np.diff(known) > 0).all()
    return known if usable else None


def _completed(decoded: Sequence[int | None]) -> list[int | None]:
    """With the stamps of the last frames, for which no packet came, in the usual distance."""
    known = [stamp for stamp in decoded if stamp is not None]
    held = len(decoded) - len(known)
    if not known or None in decoded[: len(known)]:
        return list(decoded)
    step = int(np.median(np.diff(known))) if len(known) > 1 else 1
    return [*known, *(known[-1] + step * number for number in range(1, held + 1))]


def _stamped(stamps: Stamps, last_length: int, header: Header, start: float) -> Timeline:
    """The timeline of frames with these time stamps, of which the first is shown at ``start``."""
    count, tick = len(stamps), header.tick
    start = start if start > MICROSECOND else 0.0
    if start > LATEST_START:
        raise ClockError(f"its picture starts {start / 3600:.0f} hours after its earliest stream")
    times = (stamps - stamps[0]) * tick
    rates = list(header.rates.values())
    if count == 1:
        rates.append(1 / (last_length * tick) if last_length else DEFAULT_RATE)
    else:
        rates.append((count - 1) / times[-1])
    for rate in rates:
        drift = np.abs(times - np.arange(count) / rate).max()
        # A clock too coarse for the rate rounds by one tick; a quarter of a frame is a lost frame.
        if drift <= min(tick, 0.25 / rate) + 1e-9:
            line = _constant(count, rate, start, tick, stamps)
            return replace(line, note=_disagreement(header, rate, count / rate, start))
    last = last_length * tick if last_length else float(np.median(np.diff(times)))
    seconds = float(times[-1] + last)
    average = {name: rate for name, rate in header.rates.items() if name == "average rate"}
    note = _disagreement(replace(header, rates=average), count / seconds, seconds, start)
    return Timeline(start + times, stamps, start + seconds, count / seconds, True, tick, note)


def _constant(
    count: int, rate: float, start: float, tick: float, stamps: Stamps | None
) -> Timeline:
    times = start + np.arange(count) / rate
    return Timeline(times, stamps, start + count / rate, rate, False, tick)


def _disagreement(header: Header, rate: float, seconds: float, start: float) -> str:
    """What a header says that the time stamps do not, as a sentence; or nothing.

    ``start``: the second at which the picture starts, ``seconds`` for which it goes on.
    """
    said = [
        f"{name} {other:.4g}"
        for name, other in header.rates.items()
        if abs(other / rate - 1) > DIFFERENCE and other <= MOST_RATE
    ]
    if header.duration is not None and header.kind.startswith(LENGTHS):
        off = min(abs(header.duration - length) for length in (seconds, start + seconds))
        if off > max(SLACK, DIFFERENCE * seconds):
            said.append(f"length {header.duration:.2f} s")
    if not said:
        return ""
    return (
        f"its header says: {', '.join(said)}; its time stamps say {rate:.4g} frames per second and "
        f"{seconds:.2f} s, and are believed"
    )


def _by_rates(shown: Sequence[int | None], header: Header) -> Timeline:
    """The timeline of frames without usable time stamps, at the one rate that nothing denies."""
    count, rates, note = len(shown), list(header.rates.values()), ""
    if header.kind in BARE_FORMATS:
        note = "a bare stream has no time stamps: the {:.4g} frames per second of its header"
    elif header.kind != PICTURES:
        note = "its time stamps are missing or out of order: {:.4g} frames per second"
        rates = _fitting(shown, header)
    if count == 1:
        rates.append(DEFAULT_RATE)
    if not rates:
        said = [f"{name} {rate:.4g}" for name, rate in header.rates.items()]
        said += [f"{header.duration:.2f} s"] if header.duration else []
        raise ClockError(
            f"nothing in it says when its frames are shown (it has {count} frames without usable "
            f"time stamps; its header says: {', '.join(said) or 'nothing'})"
        )
    start = max(0.0, (header.first or 0) * header.tick - header.zero)
    line = _constant(count, rates[0], start, header.tick, None)
    return replace(line, note=f"{note.format(rates[0])} are believed" if note else "")


def _fitting(shown: Sequence[int | None], header: Header) -> list[float]:
    """The rates that agree with the length in the header; without one, those that all agree.

    These must agree with the first and the last time stamp too: some in between may be wrong.
    """
    count, length, rates = len(shown), header.duration, list(header.rates.values())
    if length is None and rates and max(rates) > (1 + DIFFERENCE) * min(rates):
        return []
    first, last = shown[0], shown[-1]
    if length is None and first is not None and last is not None and first < last:
        length = (last - first) * header.tick * count / (count - 1)
    if length is None:
        return rates
    allowed = DIFFERENCE * length
    return [rate for rate in rates if abs(count / rate - length) <= max(allowed, 1.5 / rate)]
