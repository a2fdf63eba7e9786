"""The first pictures of a source tell its rate, also where some are missing among them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, cycle, islice

import av
import numpy as np
import pytest
from tests.prediction.conftest import WINDOW

from tad_blockdrop.prediction.live import reading
from tad_blockdrop.prediction.live.reading import Began, Ended, Sample, WatchJob, read_source
from tad_blockdrop.prediction.live.sampling import HEAD, rhythm_of
from tad_blockdrop.prediction.live.sources import Source
from tad_blockdrop.video.files.sampling import Sampling

GAP = 2600  # ms


def with_gaps(usual, *gaps):
    """Times between the first pictures, ms: the usual ones in turn, and gaps after the tenth."""
    times = list(islice(cycle(usual), HEAD - 1))
    times[10 : 10 + len(gaps)] = gaps
    return times


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (with_gaps([100]), 10),
        (with_gaps([100], GAP), 10),
        (with_gaps([100], GAP, 500, 800), 10),
        (with_gaps([98, 103, 99], GAP), 10),  # jitter, and the header says 10
        (with_gaps([33, 34, 33], GAP), 30),  # not what the header says
        (with_gaps([40, 1, 79], GAP), 25),
        (with_gaps([5, 75], GAP), 25),
        (with_gaps([180, 5, 5, 5, 5]), 25),  # all in bunches: nothing is missing
        (with_gaps([2000]), 0.5),
        ([100, 100, GAP, 100], 10),
    ],
)
def test_a_gap_does_not_change_the_rate(times, rate, write_video) -> None:
    with av.open(str(write_video("video.ts"))) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 10
        stamps = [round(ms / 1000 / stream.time_base) for ms in accumulate(times, initial=0)]
        rhythm = rhythm_of(container, stream, stamps, 0)
    assert rhythm.fps == pytest.approx(rate, rel=0.05)


def read(video, monkeypatch):
    """The stretches of a file that is read as a live source: rate, samples and length of each."""

    @contextmanager
    def opened(source: Source, timeout: float) -> Iterator[tuple]:
        with av.open(str(video)) as container:
            yield container, container.streams.video[0]

    monkeypatch.setattr(reading, "open_source", opened)
    job = WatchJob(Source("tcp://host", "stream"), Sampling(every=1), WINDOW, timeout=20.0)
    found = []
    for message in read_source(job):
        if isinstance(message, Began):
            found.append([message.rate, [], 0.0])
        elif isinstance(message, Sample):
            found[-1][1].append(message.pixels)
        elif isinstance(message, Ended):
            found[-1][2] = message.duration
    return found


@pytest.mark.parametrize("before", [2, 10, HEAD, HEAD + 5])
def test_no_picture_is_lost_where_the_clock_jumps(before, write_video, monkeypatch) -> None:
    """An hour on, among the first pictures or after them, and twice in a row."""
    jumps = np.repeat([0, 360_000, 720_000], [before, 3, 40])
    stamps = jumps + 10 * np.arange(before + 43)
    video = write_video("video.ts", length=before + 43, stamps=stamps.tolist())
    found = read(video, monkeypatch)
    assert [rate for rate, _, _ in found] == pytest.approx([10, 10, 10], rel=1e-3)
    assert [length for *_, length in found] == pytest.approx([before / 10, 0.3, 4.0], abs=0.01)
    assert len(found[-1][1]) == 40
