"""A source that goes on gives what ``predict`` finds in its recording, each detection once."""

import gc
import logging
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prediction_videos import KINDS

from tad_blockdrop.config.watch import WatchConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.prediction.live.lines import Line
from tad_blockdrop.prediction.live.reading import (
    TOO_SLOW,
    Alive,
    Began,
    Ended,
    Message,
    Sample,
    WatchJob,
    read_source,
)
from tad_blockdrop.prediction.live.sources import Source, SourceError, find_source
from tad_blockdrop.prediction.live.stretch import DelayError
from tad_blockdrop.prediction.live.watching import STOPPED, Watch
from tad_blockdrop.prediction.predictor import Predictor, make_predictor
from tad_blockdrop.tasks.contract import OutputError
from tad_blockdrop.video.files.sampling import Sampling

COLUMNS = ["start", "end", "label", "score"]
LONG = {"name": "video.mp4", "length": 333}
CAMERA = Source("rtsp://camera/", "stream")


@pytest.fixture
def predictor(checkpoint: Checkpoint) -> Predictor:
    """Windows of 1.6 s, which begin every 0.8 s."""
    return make_predictor(checkpoint)


def recorded(path: Path) -> Source:
    """A file that was finished long ago."""
    os.utime(path, (1e9, 1e9))
    return find_source(str(path))


def watch_file(predictor: Predictor, path: Path, **settings: float) -> list[Line]:
    config = WatchConfig(**{"max_delay": 1000, "min_score": 0.27} | settings)
    return list(Watch(predictor, recorded(path), config, read=read_source).lines())


def table(lines: Sequence[Line]) -> pd.DataFrame:
    """The detections, in the order of ``predict``."""
    found = [vars(line) for line in lines if line.event == "detection"]
    rows = pd.DataFrame(found, columns=[*COLUMNS, "delay"])
    return rows.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(expected) > 0
    pd.testing.assert_frame_equal(
        found[COLUMNS], expected[COLUMNS], check_dtype=False, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("kind", [*(kind for kind in KINDS if kind != "variable"), "long"])
@pytest.mark.parametrize("sampling", [Sampling(every=1), Sampling(every=3), Sampling(fps=7.0)])
def test_a_recording_gives_what_predict_finds(kind, sampling, predictor, write_video):
    path = write_video(**(LONG if kind == "long" else KINDS[kind]))
    predictor = replace(predictor, sampling=sampling)
    score = 0.27 if kind == "long" else 0.1
    lines = watch_file(predictor, path, min_score=score)
    same(table(lines), predictor.detect(path, score))
    assert [lines[0].event, lines[-1].event] == ["began", "ended"]
    assert lines[-1].note == "it ended"


@pytest.mark.parametrize("fps", [7.0, 25.0])
def test_so_does_one_of_variable_rate_where_samples_are_taken_by_time(fps, predictor, write_video):
    path = write_video(**KINDS["variable"])
    predictor = replace(predictor, sampling=Sampling(fps=fps))
    same(table(watch_file(predictor, path, min_score=0.1)), predictor.detect(path, 0.1))


def test_no_detection_waits_longer_than_the_delay(predictor, write_video):
    """And what was decided before its time is a detection of ``predict``, or told as doubtful."""
    path = write_video(**LONG)
    run = Watch(
        predictor, recorded(path), WatchConfig(max_delay=2.0, min_score=0.27), read=read_source
    )
    lines = [line for line in run.lines() if line.event == "detection"]
    assert len(lines) > 10
    assert run.tally.early > 0
    assert max(line.delay for line in lines) <= 2.0
    assert run.tally.longest == max(line.delay for line in lines)
    assert len({(line.start, line.end, line.label) for line in lines}) == len(lines)
    assert "were decided before" in run.tally.sentences()


def test_a_delay_that_the_windows_do_not_allow_is_refused(predictor, write_video):
    with pytest.raises(DelayError, match=r"1\.60 s long \(16 samples, 10 a second\).*2\.00 s"):
        watch_file(predictor, write_video(), max_delay=1.9)


def test_a_model_of_whole_videos_is_refused(checkpoint, write_video):
    whole = checkpoint.window.model_copy(update={"kind": "resize"})
    with pytest.raises(SourceError, match="whole videos at once"):
        watch_file(make_predictor(replace(checkpoint, window=whole)), write_video())


def test_damaged_weights_end_it(checkpoint, write_video):
    checkpoint.weights["head.classify.bias"].fill_(float("nan"))
    with pytest.raises(OutputError, match="not finite"):
        watch_file(make_predictor(checkpoint), write_video())


# A source that is played here: scripts of messages, one for each time that it is opened.


def samples(seconds: float, at: float = 0.0) -> Iterator[Message]:
    """A stretch of 10 samples a second that begins at second ``at`` after the epoch."""
    yield Began(10.0, 10.0, at)
    pattern = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    for number in range(round(10 * seconds)):
        yield Sample(pattern[number % 40], at + number / 10)


class Played:
    """Plays one script after the other."""

    def __init__(self, *scripts: Sequence[Message | Exception]) -> None:
        self.scripts, self.opened, self.slept = list(scripts), 0, 0.0

    def read(self, job: WatchJob) -> Iterator[Message]:
        script = self.scripts[min(self.opened, len(self.scripts) - 1)]
        self.opened += 1
        for message in script:
            if isinstance(message, Exception):
                raise message
            yield message

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


GONE = SourceError("rtsp://camera/: it cannot be read (connection refused)")


def quick(monkeypatch) -> None:
    monkeypatch.setattr("tad_blockdrop.prediction.live.watching.FIRST_WAIT", 0.01)


def test_a_lost_source_is_awaited_and_told(predictor, monkeypatch, caplog):
    quick(monkeypatch)
    first = [*samples(8.0, at=1000.0), Ended(8.0, "nothing came for 10 s")]
    then = [*samples(8.0, at=1060.0), Ended(8.0, "it ended", over=True)]
    source = Played(first, [GONE], [GONE], then)
    config = WatchConfig(min_score=0.25, max_delay=1000)
    run = Watch(predictor, CAMERA, config, read=source.read, sleep=source.sleep)
    with caplog.at_level(logging.WARNING):
        lines = list(run.lines())
    told = [(line.event, line.start, line.time) for line in lines if line.event != "detection"]
    assert told == [
        ("began", 0.0, 1000.0), ("lost", 8.0, 1008.0), ("back", 60.0, 1060.0),
        ("ended", 68.0, 1068.0),
    ]  # fmt: skip
    assert next(line.note for line in lines if line.event == "lost") == "nothing came for 10 s"
    assert source.opened == 4
    assert caplog.text.count("connection refused") == 2
    found = [line for line in lines if line.event == "detection"]
    before, after = ([x for x in found if (x.start < 10) == early] for early in (True, False))
    assert len(before) == len(after) > 0
    for one, other in zip(before, after, strict=True):
        assert one.start + 60 == pytest.approx(other.start)
        assert one.score == other.score


def test_a_source_that_stays_away_is_given_up(predictor, monkeypatch):
    quick(monkeypatch)
    source = Played([*samples(8.0), Ended(8.0, "it ended")], [GONE])
    config = WatchConfig(min_score=0.25, reconnect=0.05)
    lines: list[Line] = []
    with pytest.raises(SourceError, match=r"given up: .*connection refused"):
        lines.extend(Watch(predictor, CAMERA, config, read=source.read).lines())
    assert [line.event for line in lines if line.event != "detection"] == ["began", "lost", "ended"]
    assert source.opened > 2


def test_a_source_that_was_never_there_is_not_awaited(predictor):
    source = Played([GONE])
    with pytest.raises(SourceError, match="connection refused"):
        list(Watch(predictor, CAMERA, WatchConfig(), read=source.read).lines())
    assert source.opened == 1


def test_what_a_slow_machine_leaves_out_is_told(predictor):
    source = Played(
        [*samples(5.0), Ended(5.0, TOO_SLOW), *samples(5.0, at=9.0), Ended(5.0, "", over=True)]
    )
    lines = list(Watch(predictor, CAMERA, WatchConfig(), read=source.read).lines())
    told = [(line.event, line.start) for line in lines if line.event != "detection"]
    assert told == [("began", 0.0), ("lost", 5.0), ("back", 9.0), ("ended", 14.0)]
    assert source.opened == 1


def test_a_request_to_stop_writes_what_is_under_way(predictor):
    """After 8 of 1000 seconds: the same as if they had been all."""
    asked = iter([*[False] * 80, True])
    source, whole = Played([*samples(1000.0)]), Played([*samples(8.0), Ended(8.0, "", over=True)])
    config = WatchConfig(min_score=0.25)
    run = Watch(predictor, CAMERA, config, lambda: next(asked), source.read)
    stopped = list(run.lines())
    assert (stopped[-1].event, stopped[-1].note, stopped[-1].start) == ("ended", STOPPED, 8.0)
    expected = list(Watch(predictor, CAMERA, config, read=whole.read).lines())
    same(table(stopped), table(expected))


def test_the_duration_ends_it(predictor):
    config = WatchConfig(min_score=0.25, duration=6.0)
    lines = list(Watch(predictor, CAMERA, config, read=Played([*samples(90.0)]).read).lines())
    assert (lines[-1].event, lines[-1].start) == ("ended", 6.0)
    assert lines[-1].note == "the 6 s of watch.duration are over"


def test_stopped_while_it_waits_for_pictures_and_for_the_source(predictor):
    lines = list(
        Watch(predictor, CAMERA, WatchConfig(), lambda: True, Played([Alive()]).read).lines()
    )
    assert [(line.event, line.note) for line in lines] == [("ended", STOPPED)]
    lost = Played([*samples(2.0), Ended(2.0, "it ended")])
    asked: list[float] = []
    run = Watch(predictor, CAMERA, WatchConfig(), lambda: bool(asked), lost.read, asked.append)
    assert [line.event for line in run.lines()][-2:] == ["lost", "ended"]
    assert lost.opened == 1


def test_memory_does_not_grow(predictor, caplog):
    """Minutes, played fast. ``benchmarks/watching.py`` plays hours."""
    caplog.set_level(logging.CRITICAL, "tad_blockdrop")  # pytest would keep all records

    def measured(seconds: float) -> int:
        lines = Watch(
            predictor, CAMERA, WatchConfig(min_score=0.25),
            read=Played(endless(seconds)).read,
        ).lines()  # fmt: skip
        count = sum(1 for _ in lines)
        assert count > seconds / 10
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    def endless(seconds: float) -> Iterator[Message]:
        yield from samples(seconds)
        held.append(tracemalloc.get_traced_memory()[0])
        yield Ended(seconds, "", over=True)

    held: list[int] = []
    tracemalloc.start()
    try:
        measured(100.0)  # the caches of libraries are filled after that
        measured(100.0)
        measured(400.0)
    finally:
        tracemalloc.stop()
    assert held[2] < held[1] + 200_000  # five minutes more; a sample has 768 bytes, so 2 MB in all
