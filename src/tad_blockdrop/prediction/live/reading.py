"""A source as a flow of samples, made in a process of its own that may hang, crash or be late.

A thread of that process reads and samples, another hands over, so that pictures of a live source
are taken while the model works. Where nobody takes the samples for long, the source is taken up
again later, with a gap that is told, instead of coming later and later.

A *stretch* is a part of the source without a gap; its seconds count from its first picture.
"""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.prediction.live.sampling import HEAD, pictures, rhythm_of
from tad_blockdrop.prediction.live.sources import Source, SourceError, open_source, reason
from tad_blockdrop.video.files.container import Pixels, display_size, upright
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.windows.augment import centre_crop

TICK = 0.5  # seconds between signs of life
TOO_SLOW = "this machine is too slow for the source"


@dataclass(frozen=True)
class WatchJob:
    """A source to read, how to sample it and how large; lost after ``timeout`` s of silence."""

    source: Source
    sampling: Sampling
    window: WindowConfig
    timeout: float


@dataclass(frozen=True)
class Began:
    """A stretch: ``rate`` samples of ``fps`` pictures per second; ``at``: s since the epoch."""

    rate: float
    fps: float
    at: float


@dataclass(frozen=True, eq=False)
class Sample:
    """The next sample, uint8 (crop, crop, 3); ``at``: when its picture came, s since the epoch."""

    pixels: Pixels
    at: float


@dataclass(frozen=True)
class Ended:
    """The stretch lasted ``duration`` seconds. ``over``: it was the end of the source itself."""

    duration: float
    why: str
    over: bool = False


@dataclass(frozen=True)
class Alive:
    """Nothing has come since; the process lives."""


Message = Began | Sample | Ended | Alive
_Handed = queue.Queue[Message | SourceError | None]


def read_source(job: WatchJob) -> Iterator[Message]:
    """Stretches, each begun, sampled and ended, until the source ends or is lost.

    Raises SourceError if the source cannot be opened or shows no picture.
    """
    torch.set_num_threads(1)
    handed: _Handed = queue.Queue(job.window.frames)
    reader = _Reader(job, handed)
    threading.Thread(target=reader.run, daemon=True).start()
    while True:
        try:
            message = handed.get(timeout=TICK)
        except queue.Empty:
            # Some drivers of cameras wait for ever.
            if time.monotonic() - reader.heard > 2 * job.timeout:
                said = f"{job.source.name}: nothing came for {job.timeout:g} s"
                raise SourceError(said) from None
            message = Alive()
        if message is None:
            return
        if isinstance(message, SourceError):
            raise message
        yield message


class _Picture:
    """A picture, made small when it is first asked for; ``at``: when it came."""

    def __init__(self, frame: VideoFrame, size: tuple[int, int], window: WindowConfig) -> None:
        assert frame.pts is not None
        self.stamp, self.length, self.at = frame.pts, frame.duration or 0, time.time()
        self._large: VideoFrame | None = frame
        self._small: Pixels = np.empty(0, np.uint8)
        self._size, self._window = size, window

    def pixels(self) -> Pixels:
        if self._large is not None:
            whole = torch.from_numpy(upright(self._large, self._size)[None])
            small = centre_crop(whole, self._window.short_side, self._window.crop)
            self._small, self._large = small[0].numpy(), None
        return self._small


class _Reader:
    """Fills a queue with what ``read_source`` gives; ``heard``: when a picture last came."""

    def __init__(self, job: WatchJob, handed: _Handed) -> None:
        self._job, self._handed = job, handed
        self._ended = "it was closed by its sender" if job.source.live else "it ended"
        self._over = False
        self.heard = time.monotonic()

    def run(self) -> None:
        """Read the source to its end."""
        try:
            with open_source(self._job.source, self._job.timeout) as (container, stream):
                coming = self._pictures(container, stream)
                first = next(coming, None)
                if first is None:
                    name, why = self._job.source.name, self._ended
                    raise SourceError(f"{name}: not one picture came before {why}")
                while first is not None:
                    first = self._stretch(first, coming, container, stream)
        except SourceError as error:
            self._handed.put(error)
        self._handed.put(None)

    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[_Picture]:
        """The pictures, to the end of the source or what is as good as that."""
        job, size, shown = self._job, None, 0.0
        try:
            for frame in pictures(container, stream):
                self.heard = time.monotonic()
                size = size or display_size(frame)
                shown = float(frame.time or 0) + 1
                yield _Picture(frame, size, job.window)
            # Else a stream with an end would be played again and again.
            known = bool(container.duration) and shown >= container.duration / av.time_base
            self._over = not job.source.live or known
        except av.FFmpegError as error:
            self._ended = reason(job.source, error, job.timeout)
            if not job.source.live and isinstance(error, av.error.ExitError):
                self._ended, self._over = f"it ended ({self._ended})", True

    def _stretch(
        self,
        first: _Picture,
        coming: Iterator[_Picture],
        container: InputContainer,
        stream: VideoStream,
    ) -> _Picture | None:
        """Hand over one stretch; the first picture of the next one, if there is one."""
        job, live = self._job, self._job.source.live
        head, jumped = self._head(first, coming, float(stream.time_base or 1e-3))
        stamps = [picture.stamp for picture in head]
        rhythm = rhythm_of(container, stream, stamps, head[-1].length)
        rate = job.sampling.rate(rhythm.fps)
        self._handed.put(Began(rate, rhythm.fps, first.at))
        shown, since, done = first, 0.0, 0
        why, follows = "", None
        # What a source sends faster than it happened may be taken slowly.
        in_time, patience = first.at, job.window.frames / rate
        for picture in chain(head[1:], jumped, coming):
            second = (picture.stamp - first.stamp) * rhythm.tick
            ahead = second - since
            if self._jumps(ahead):
                why, follows = f"its clock jumped by {ahead:.1f} s", picture
                break
            if ahead <= 0:
                continue
            until = rhythm.first_sample(second, rate)
            done = self._hand_over(shown, done, until)
            shown, since = picture, second
            if self._handed.empty():
                in_time = picture.at - second
            elif live and self._handed.full() and picture.at - second - in_time > patience:
                why = TOO_SLOW
                break
        end = rhythm.end(since, shown.length)
        if not why:
            self._hand_over(shown, done, rhythm.count(end, rate))
        self._handed.put(Ended(end, why or self._ended, self._over and not why))
        return self._when_idle(coming) if why == TOO_SLOW else follows

    def _head(
        self, first: _Picture, coming: Iterator[_Picture], tick: float
    ) -> tuple[list[_Picture], list[_Picture]]:
        """The pictures that tell the rate; and the next one, if the clock jumps before it.

        ``tick``: seconds of a time stamp.
        """
        first.pixels()  # of large pictures it would take too much memory to keep them
        head, latest = [first], first.stamp
        for picture in islice(coming, HEAD - 1):
            picture.pixels()
            if self._jumps((picture.stamp - latest) * tick):
                return head, [picture]
            head.append(picture)
            latest = max(latest, picture.stamp)
        return head, []

    def _jumps(self, ahead: float) -> bool:
        """Whether the clock jumped if the next picture is ``ahead`` seconds after the latest."""
        timeout = self._job.timeout
        return ahead < -timeout or (self._job.source.live and ahead > timeout)

    def _hand_over(self, shown: _Picture, done: int, until: int) -> int:
        """The samples up to ``until`` that show this picture; how many are done then."""
        for _ in range(done, until):
            self._handed.put(Sample(shown.pixels(), shown.at))
        return max(done, until)

    def _when_idle(self, coming: Iterator[_Picture]) -> _Picture | None:
        """The first picture that comes after all samples have been taken."""
        return next((picture for picture in coming if self._handed.empty()), None)
