"""How much a job has to do, and what was measured of it on one window."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tad_blockdrop.config import Parameters, WindowConfig
from tad_blockdrop.video.windows.cutting import VideoRecord, test_windows, trained_on


@dataclass(frozen=True)
class Work:
    """How much there is to do: windows of each kind, and samples of all videos.

    ``training``: of one epoch; ``rated``: what checkpoints are rated on, the held-out videos or,
    where there are none, the training videos; ``calibrating``: what a repair looks at; ``kept``:
    those of ``samples`` that proxies hold; ``featured``: those whose features are kept, where a
    backbone is frozen. ``videos``: how many videos windows are of, by kind.
    """

    training: int
    scored: int
    held_out: int
    rated: int
    tested: int
    calibrating: int
    featured: int
    samples: int
    kept: int
    videos: Mapping[str, int]


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of a piece of work. Memory: the peak of this process or of the GPU.

    ``held``: what of it each of several devices needs, however few clips are its own.
    """

    seconds: float
    memory: float
    held: float = 0.0


@dataclass(frozen=True)
class OneWindow:
    """What was measured: of the batch of a training step, all else of a single window.

    ``read_out``: of a training step that changes neck and head only, where there are such.
    ``proxies``: seconds that one process needs for all of them; ``reading``: of a window;
    ``repair``: of one block, on all clips of a repair, where there is one. ``scoring`` is none
    where candidates are repaired: then it follows from ``repair`` and ``detection``.
    """

    proxies: float
    reading: float
    training: Measured
    batch: int
    scoring: Measured | None
    detection: Measured
    repair: Measured | None
    read_out: Measured | None


def count_work(
    training: Sequence[VideoRecord],
    held_out: Sequence[VideoRecord],
    test: Sequence[VideoRecord],
    settings: Parameters,
) -> Work:
    """What the whole job will go through."""
    window, repair = settings.data.window, settings.compress.repair

    def windows(records: Sequence[VideoRecord]) -> int:
        return sum(len(test_windows(record, window, window.overlap)) for record in records)

    every = [*training, *held_out, *test]
    scored, calibrating = training[: settings.compress.score_videos], training[: repair.videos]
    return Work(
        training=training_windows(training, window),
        scored=windows(scored),
        held_out=windows(held_out),
        rated=windows(held_out or training),
        tested=windows(test),
        calibrating=min(windows(calibrating), repair.windows or sys.maxsize),
        featured=windows(training) + windows(held_out),
        samples=sum(record.n_samples for record in every),
        kept=sum(kept_samples(record, window) for record in every),
        videos={
            "scored": len(scored),
            "held_out": len(held_out),
            "rated": len(held_out or training),
            "tested": len(test),
            "calibrating": len(calibrating),
            "featured": len(training) + len(held_out),
        },
    )


def training_windows(training: Sequence[VideoRecord], window: WindowConfig) -> int:
    """How many windows an epoch has."""
    return window.per_video * sum(len(trained_on(r, window).labels) > 0 for r in training)


def kept_samples(record: VideoRecord, window: WindowConfig) -> int:
    """How many samples of a video its proxy holds."""
    return min(record.n_samples, window.kept or record.n_samples)
