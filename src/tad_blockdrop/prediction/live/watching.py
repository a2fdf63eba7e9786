"""Watching a source until it ends, is given up or somebody stops: each thing that happens a line.

``seconds`` count from the first picture. Where a source is lost, what is under way is decided as at
the end of a video; when it is back, a new stretch begins, later by the time it was away.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from tad_blockdrop.config.watch import WatchConfig
from tad_blockdrop.detections.postprocess import Proposals
from tad_blockdrop.metrics.calibration import probabilities
from tad_blockdrop.prediction.live.lines import Event, Line
from tad_blockdrop.prediction.live.reading import (
    Began,
    Ended,
    Message,
    Sample,
    WatchJob,
    read_source,
)
from tad_blockdrop.prediction.live.sources import Source, SourceError
from tad_blockdrop.prediction.live.stretch import Delay, Stretch
from tad_blockdrop.prediction.predictor import Predictor
from tad_blockdrop.video.files.guarded_processes import GivenUpError, GuardedStream

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds between attempts to reach a source
SLICE = 0.2  # seconds after which a wait looks whether somebody asked to stop
STOPPED = "stopped"

Read = Callable[[WatchJob], Generator[Message, None, None]]


@dataclass
class Tally:
    """What was written, of how many seconds; delays in seconds; see ``settling`` for the others."""

    detections: int = 0
    seconds: float = 0.0
    delays: float = 0.0
    longest: float = 0.0
    early: int = 0
    late: int = 0
    strongest: float = 0.0

    def sentences(self) -> str:
        """For people."""
        said = f"{self.detections} detections in {self.seconds:.1f} s"
        if self.detections:
            mean = self.delays / self.detections
            said += (
                f", written {mean:.1f} s after their ends on average, {self.longest:.1f} at most"
            )
        elif self.strongest > 0:
            said += (
                f"; the strongest proposal had score {self.strongest:.3f}: set watch.min_score "
                "below that to see it"
            )
        if self.early or self.late:
            said += (
                f"; {self.early} were decided before the actions around them had ended, and "
                f"{self.late} proposals came too late to change anything: a longer watch.max_delay "
                "makes both fewer"
            )
        return said


class Watch:
    """Watches a source with a predictor.

    ``read`` reads the source: ``read_source``, in a process of its own by default. ``stopped``:
    whether somebody asked to stop. ``sleep``: waits some seconds.
    """

    def __init__(
        self,
        predictor: Predictor,
        source: Source,
        config: WatchConfig,
        stopped: Callable[[], bool] = lambda: False,
        read: Read | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        window = predictor.model.window
        if window.kind == "resize":
            raise SourceError(
                "this model looks at whole videos at once (data.window.kind: resize), which a "
                "source that goes on does not allow; use --pipeline predict on recorded files"
            )
        self._predictor, self._source, self._config = predictor, source, config
        self._job = WatchJob(source, predictor.sampling, window, config.timeout)
        self._stopped, self._read, self._sleep = stopped, read or _read_apart, sleep
        self._classes = predictor.classes
        self._stretch: Stretch | None = None
        self._begins = 0  # stretches so far
        self._zero = 0.0  # when the first picture came, s since the epoch
        self._offset = 0.0  # seconds at which the stretch began
        self._newest = 0.0  # when the newest sample came
        self._over = False
        self.tally = Tally()

    def lines(self) -> Iterator[Line]:
        """What happens, as it happens.

        Raises SourceError if the source cannot be opened, or is not there again within
        ``config.reconnect`` seconds; all lines have been given by then.
        """
        lost, pause = time.monotonic(), FIRST_WAIT
        while True:
            begins = self._begins
            why = yield from self._once()
            if self._over:
                return
            if self._begins > begins:
                lost, pause = time.monotonic(), FIRST_WAIT
            left = lost + self._config.reconnect - time.monotonic()
            if not self._source.live or left <= 0:
                yield self._event("ended", self.tally.seconds, why)
                raise SourceError(f"{self._source.name}: given up: {why}")
            again = "" if self._begins > begins else f"not back: {why}; "
            logger.warning("%strying to open it in %.0f s", again, min(pause, left))
            if self._wait(min(pause, left)):
                yield self._event("ended", self.tally.seconds, STOPPED)
                return
            pause = min(2 * pause, LONGEST_WAIT)

    def _once(self) -> Generator[Line, None, str]:
        """Read the source until it ends, is lost (the result says why) or nobody wants more."""
        why = "it ended"
        try:
            with closing(self._read(self._job)) as messages:
                for message in messages:
                    if isinstance(message, Began):
                        yield self._begin(message)
                    elif isinstance(message, Sample):
                        yield from self._take(message)
                    elif isinstance(message, Ended):
                        why = message.why
                        yield from self._end(message.duration, why, message.over)
                    if not self._over and (enough := self._enough()):
                        yield from self._end(self._come(), enough, over=True)
                    if self._over:
                        return why
        except (SourceError, GivenUpError) as error:
            if not self._begins:
                raise SourceError(str(error)) from error
            why = str(error)
            if self._stretch is not None:
                yield from self._end(self._come(), why, over=False)
        return why

    def _come(self) -> float:
        """Seconds of the stretch that have come."""
        return self._stretch.seconds if self._stretch is not None else 0.0

    def _enough(self) -> str:
        """Why to stop now, or nothing."""
        if self._stopped():
            return STOPPED
        limit = self._config.duration
        if limit is not None and self._stretch and self._offset + self._come() >= limit:
            return f"the {limit:g} s of watch.duration are over"
        return ""

    def _begin(self, began: Began) -> Line:
        window, asked = self._predictor.model.window, self._config.max_delay
        if self._begins == 0:
            self._zero = began.at
        elif asked is not None:  # the rate may have changed a little
            asked = max(asked, Delay.of(window, began.rate, None).usual)
        delay = Delay.of(window, began.rate, asked)
        self._stretch = Stretch(self._predictor, self._config.min_score, began.rate, delay)
        self._begins += 1
        self._newest = began.at
        away = began.at - self._zero if self._source.live else 0.0
        self._offset = max(self.tally.seconds, away)
        note = (
            f"{self._source.name}: {began.fps:.4g} pictures a second, of which {began.rate:.4g} "
            f"are looked at; a detection is final {delay.usual:.1f} s after its end, and while "
            f"others overlap it at the latest after {delay.longest:.1f} s"
        )
        logger.info("watching %s", note)
        return self._event("began" if self._begins == 1 else "back", self._offset, note)

    def _take(self, sample: Sample) -> Iterator[Line]:
        assert self._stretch is not None
        self._newest = sample.at
        found = self._stretch.add(sample.pixels)
        self.tally.seconds = self._offset + self._stretch.seconds
        yield from self._detections(found, self._stretch.seconds)

    def _end(self, duration: float, why: str, over: bool) -> Iterator[Line]:
        """End the stretch, and with ``over`` the watch."""
        self._over = over
        if self._stretch is not None:
            yield from self._detections(self._stretch.finish(duration), duration)
            self.tally.seconds = self._offset + duration
            self.tally.strongest = max(self.tally.strongest, self._stretch.strongest)
            early, late = self._stretch.doubtful
            self.tally.early += early
            self.tally.late += late
            self._stretch = None
        if over:
            logger.info("ended at second %.1f: %s", self.tally.seconds, why)
        else:
            logger.warning("lost at second %.1f: %s", self.tally.seconds, why)
        yield self._event("ended" if over else "lost", self.tally.seconds, why)

    def _detections(self, found: Proposals, now: float) -> Iterator[Line]:
        """The lines of what was decided at second ``now`` of the stretch."""
        calibration = self._predictor.calibration
        for place in range(len(found)):
            start, end = (self._offset + found.segments[place]).tolist()
            label, score = self._classes[found.labels[place]], float(found.scores[place])
            probability = None
            if calibration is not None:
                [probability] = probabilities(calibration, np.array([score])).tolist()
            delay = max(0.0, self._offset + now - end)
            if self._source.live:
                delay += max(0.0, time.time() - self._newest)
            logger.info(
                "%s, %.1f to %.1f s, score %.2f, written %.1f s after its end",
                label, start, end, score, delay,
            )  # fmt: skip
            self.tally.detections += 1
            self.tally.delays += delay
            self.tally.longest = max(self.tally.longest, delay)
            at = self._time(start)
            yield Line("detection", at, start, end, label, score, probability, delay)

    def _event(self, event: Event, second: float, note: str) -> Line:
        """A line of the source itself."""
        at = self._zero + second if event == "began" else self._time(second)
        return Line(event, at, second, note=note)

    def _time(self, second: float) -> float | None:
        """The time of day; files are read faster than they were made."""
        return self._zero + second if self._source.live else None

    def _wait(self, seconds: float) -> bool:
        """Wait; true if somebody asked to stop."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopped():
            self._sleep(min(SLICE, max(0.0, until - time.monotonic())))
        return self._stopped()


def _read_apart(job: WatchJob) -> Generator[Message, None, None]:
    """``read_source`` in a process of its own."""
    silence = max(30.0, 3 * job.timeout)  # it speaks each half second, whatever the source does
    with closing(GuardedStream(read_source, silence)) as reader:
        yield from reader(job)
