"""What a whole job will take, from what one window took: hours, memory, disk.

Times are upper bounds: what is measured with all blocks is taken for every step of the loop.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, inf
from typing import Any

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.config import Parameters, WindowConfig
from tad_blockdrop.detector.units import candidate_units
from tad_blockdrop.video.windows.cutting import VideoRecord, test_windows, training_instances

SAFE_SHARE = 0.9  # of memory and disk that a job may be predicted to fill


@dataclass(frozen=True)
class Work:
    """How much there is to do: windows of each kind, and samples of all videos.

    ``training``: of one epoch; ``rated``: what checkpoints are rated on, the held-out videos or,
    where there are none, the training videos; ``calibrating``: what a repair looks at; ``kept``:
    those of ``samples`` that proxies hold.
    """

    training: int
    scored: int
    held_out: int
    rated: int
    tested: int
    calibrating: int
    samples: int
    kept: int


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of a piece of work. Memory: the peak of this process or of the GPU."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class OneWindow:
    """What was measured: of the batch of a training step, all else of a single window.

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
    return Work(
        training=training_windows(training, window),
        scored=windows(training[: settings.compress.score_videos]),
        held_out=windows(held_out),
        rated=windows(held_out or training),
        tested=windows(test),
        calibrating=min(windows(training[: repair.videos]), repair.windows or sys.maxsize),
        samples=sum(record.n_samples for record in every),
        kept=sum(kept_samples(record, window) for record in every),
    )


def training_windows(training: Sequence[VideoRecord], window: WindowConfig) -> int:
    """How many windows an epoch has."""
    return window.per_video * sum(len(training_instances(r, window)[1]) > 0 for r in training)


def kept_samples(record: VideoRecord, window: WindowConfig) -> int:
    """How many samples of a video its proxy holds."""
    return min(record.n_samples, window.kept or record.n_samples)


def predict_hours(work: Work, one: OneWindow, settings: Parameters) -> dict[str, float]:
    """Hours of each stage.

    Windows are read beside the model by ``runtime.workers``; the slower of the two counts.
    """
    compress, workers = settings.compress, max(1, settings.runtime.workers)
    aligned = one.training.seconds / one.batch
    # An alignment step less the teacher's pass, which is about what detecting is.
    plain = max(aligned - one.detection.seconds, 0.0)
    detected, supply = one.detection.seconds, one.reading / workers
    aligned, plain, detected = (max(s, supply) for s in (aligned, plain, detected))
    trained = [settings.baseline.train] if settings.baseline.source == "train" else []
    tuned = sum(recipe.stop for recipe in trained)
    rounds = 2 if settings.report.control and compress.align else 1
    recipes = [r for k in range(1, compress.n_drops + 1) if (r := compress.recipe(k))] * rounds
    epochs = sum(recipe.stop for recipe in recipes)
    # A frozen backbone is rated on features that are kept, which takes no time beside the rest.
    ratings = sum(recipe.ratings for recipe in trained + recipes if recipe.tuning != "frozen")
    models = 1 + rounds * compress.n_drops
    one_shot = compress.n_drops if settings.report.one_shot else 0
    passes = work.held_out * ratings + work.rated * models
    passes += work.tested * (models + one_shot)
    seconds = {
        "proxies": one.proxies / workers,
        "baseline": tuned * work.training * plain,
        "ranking": compress.n_drops * _ranking(work, one, supply, settings),
        "alignment": epochs * work.training * aligned,
        "evaluation": passes * detected,
    }
    if one.repair is not None:
        blocks = settings.detector.backbone.geometry.depth - 1
        once = work.calibrating * supply + blocks * one.repair.seconds
        seconds["repair"] = compress.n_drops * once
    hours = {stage: value / 3600 for stage, value in seconds.items()}
    return hours | {"total": sum(hours.values())}


def _ranking(work: Work, one: OneWindow, supply: float, settings: Parameters) -> float:
    """Seconds of the first ranking, which has the most candidates."""
    if one.scoring is not None:
        return work.scored * max(one.scoring.seconds, supply)
    assert one.repair is not None  # guaranteed by choose_criterion
    compress, blocks = settings.compress, settings.detector.backbone.geometry.depth
    criterion, units = choose_criterion(compress), candidate_units(range(blocks), compress.unit)
    candidates = sum(comb(len(units), size) for size in range(1, compress.look_ahead + 1))
    window = supply + criterion.passes(candidates) * max(one.detection.seconds, supply)
    return work.scored * window + criterion.refits(blocks, candidates) * one.repair.seconds


def repair_clips(work: Work, settings: Parameters) -> int:
    """How many clips a repair looks at, at most."""
    frames = settings.data.window.frames
    clips = work.calibrating * (frames // settings.detector.backbone.geometry.clip_frames)
    return min(settings.compress.repair.clips, clips)


def repair_states(clips: int, settings: Parameters) -> float:
    """Bytes of main memory that a repair keeps: its clips, and states of them in float32.

    These are three, or four where an attention may be gone.
    """
    geometry, crop = settings.detector.backbone.geometry, settings.data.window.crop
    n_states = 4 if settings.compress.unit in ("attention", "sublayer") else 3
    states = 4 * n_states * geometry.tokens(crop) * geometry.width
    return float(clips * (states + 3 * geometry.clip_frames * crop**2))


def disk_needed(proxies: float, weights: float, settings: Parameters) -> float:
    """Bytes, from those of all proxies and of one model.

    A checkpoint per step, the uncompressed and the final one, and the state of a run under way
    (weights, their average, two moments).
    """
    rounds = 2 if settings.report.control and settings.compress.align else 1
    return proxies + weights * (rounds * settings.compress.n_drops + 2 + 4)


def obstacles(
    memory: float, there: float, disk: float, free: float, repair: float = 0, main: float = inf
) -> list[str]:
    """What of memory and disk will not do (bytes), and what to do about it.

    ``repair``: what a repair takes of the ``main`` memory, wherever the model runs.
    """
    found = []
    if repair > SAFE_SHARE * main:
        found.append(
            f"main memory: a repair needs {size(repair)} of {size(main)}: lower "
            "compress.repair.clips"
        )
    if memory > SAFE_SHARE * there:
        found.append(
            f"memory: the job needs {size(memory)} of {size(there)}: set "
            "detector.backbone.checkpointing to true, or lower batch and raise accumulate in "
            "baseline.train, compress.first and compress.later"
        )
    if disk > SAFE_SHARE * free:
        found.append(
            f"disk: proxies and checkpoints need {size(disk)}, {size(free)} are free: make "
            "room, link data/ to another disk, set data.proxy.store to h264 or raise its crf, or "
            "set data.proxy to null"
        )
    return found


def describe(report: Mapping[str, Any]) -> str:
    """The report as lines for people."""
    measured = report["measured"]
    rows = [("reading", {"seconds": measured["reading"], "memory": None})]
    works = ("training", "scoring", "detection", "repair")
    rows += [(name, measured[name]) for name in works if measured[name]]
    texts = {"training": f"training (batch of {measured['batch']})", "repair": "repair (one block)"}
    lines = [f"one window {report['window']} of '{report['video']}' on {report['device']}:"]
    for name, row in rows:
        text = texts.get(name, name)
        memory = "" if row["memory"] is None else size(row["memory"])
        lines.append(f"  {text:<22}{row['seconds']:10.2f} s {memory:>10}")
    lines.append("the whole job, at most about:")
    lines += [f"  {stage:<22}{h:10.2f} h" for stage, h in report["predicted_hours"].items()]
    lines.append(
        f"memory {size(report['memory_needed'])} of {size(report['memory_there'])}, "
        f"disk {size(report['disk_needed'])} of {size(report['disk_free'])} free"
    )
    if store := report["proxies"]["store"]:
        lines[-1] += f", {size(report['proxies']['bytes'])} of it proxies ({store})"
    return "\n".join(lines)


def size(n_bytes: float) -> str:
    """Bytes for people."""
    return f"{n_bytes / 1e9:.1f} GB"
