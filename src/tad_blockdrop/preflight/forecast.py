"""What a whole job will take, from what one window took: hours, memory, disk.

Times are upper bounds: what is measured with all blocks is taken for every step of the loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tad_blockdrop.config import Parameters, WindowConfig
from tad_blockdrop.video.windows.cutting import VideoRecord, test_windows, training_instances

SAFE_SHARE = 0.9  # of memory and disk that a job may be predicted to fill


@dataclass(frozen=True)
class Work:
    """How much there is to do: windows of each kind, and samples of all videos.

    ``training``: of one epoch; ``rated``: what checkpoints are rated on, the held-out videos or,
    where there are none, the training videos; ``kept``: those of ``samples`` that proxies hold.
    """

    training: int
    scored: int
    held_out: int
    rated: int
    tested: int
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

    ``proxies``: seconds that one process needs for all of them; ``reading``: of a window.
    """

    proxies: float
    reading: float
    training: Measured
    batch: int
    scoring: Measured
    detection: Measured


def count_work(
    training: Sequence[VideoRecord],
    held_out: Sequence[VideoRecord],
    test: Sequence[VideoRecord],
    settings: Parameters,
) -> Work:
    """What the whole job will go through."""
    window = settings.data.window

    def windows(records: Sequence[VideoRecord]) -> int:
        return sum(len(test_windows(record, window, window.overlap)) for record in records)

    every = [*training, *held_out, *test]
    learning = [r for r in training if len(training_instances(r, window)[1])]
    return Work(
        training=len(learning) * window.per_video,
        scored=windows(training[: settings.compress.score_videos]),
        held_out=windows(held_out),
        rated=windows(held_out or training),
        tested=windows(test),
        samples=sum(record.n_samples for record in every),
        kept=sum(kept_samples(record, window) for record in every),
    )


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
    ranked, detected = one.scoring.seconds, one.detection.seconds
    supply = one.reading / workers
    aligned, plain, ranked, detected = (max(s, supply) for s in (aligned, plain, ranked, detected))
    trained = [settings.baseline.train] if settings.baseline.source == "train" else []
    tuned = sum(recipe.stop for recipe in trained)
    rounds = 2 if settings.report.control and compress.align else 1
    recipes = [r for k in range(1, compress.n_drops + 1) if (r := compress.recipe(k))] * rounds
    epochs = sum(recipe.stop for recipe in recipes)
    ratings = sum(recipe.ratings for recipe in trained + recipes)
    models = 1 + rounds * compress.n_drops
    one_shot = compress.n_drops if settings.report.one_shot else 0
    passes = work.held_out * ratings + work.rated * models
    passes += work.tested * (models + one_shot)
    seconds = {
        "proxies": one.proxies / workers,
        "baseline": tuned * work.training * plain,
        "ranking": compress.n_drops * work.scored * ranked,
        "alignment": epochs * work.training * aligned,
        "evaluation": passes * detected,
    }
    hours = {stage: value / 3600 for stage, value in seconds.items()}
    return hours | {"total": sum(hours.values())}


def disk_needed(proxies: float, weights: float, settings: Parameters) -> float:
    """Bytes, from those of all proxies and of one model.

    A checkpoint per step, the uncompressed and the final one, and the state of a run under way
    (weights, their average, two moments).
    """
    rounds = 2 if settings.report.control else 1
    return proxies + weights * (rounds * settings.compress.n_drops + 2 + 4)


def obstacles(memory: float, there: float, disk: float, free: float) -> list[str]:
    """What of memory and disk will not do (bytes), and what to do about it."""
    found = []
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


def size(n_bytes: float) -> str:
    """Bytes for people."""
    return f"{n_bytes / 1e9:.1f} GB"
