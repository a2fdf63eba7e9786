"""What to set, by the numbers of a dataset: pure functions that state a reason for each value.

The rules are those that held on the generated benchmark and on real videos (docs/datasets.md):
an action that 5 % are shorter than spans one clip of 16 samples and four steps of the feature grid.
"""

import math

from tad_blockdrop.begin.environment import Setting
from tad_blockdrop.begin.look import Look, Numbers
from tad_blockdrop.begin.request import Request
from tad_blockdrop.begin.split import SEED
from tad_blockdrop.config import DataConfig
from tad_blockdrop.errors import some
from tad_blockdrop.video.summary import STEPS_OF_SHORT, WINDOW_OF_LONG

SLOWEST = 2.0  # samples per second: with fewer no motion is seen; of very long actions there are
HELD_OUT = 0.15
HELD_OUT_VIDEOS = 3  # a rating on fewer is chance
FEW_VIDEOS = 8  # with fewer none is held out
SMALL_CROP, SMALL_PATCH = 48, 16  # pixels
LONGEST_WINDOW = 2048  # samples
FEW_ACTIONS = 10  # with fewer examples a class is hardly learned
TRIAL_SHARE = 0.15  # of the minutes: how long each of several networks is tried, or longer
PREPARING_SHARE = 0.6  # of a trial: at most, for frames and features before its first epoch
SHOWN = 4  # names in a reason


def given(request: Request) -> list[Setting]:
    """What a person has said."""
    return [
        Setting("experiment", request.name, "the folders of its results"),
        Setting("data.source", "files", "videos of your own"),
        Setting("data.name", request.name, "of this dataset, in checkpoints"),
        Setting("data.every", None, "videos of other frame rates mix with fps"),
        Setting("data.fps", 1.0, "not chosen yet"),
    ]


def of_look(look: Look, data: DataConfig) -> list[Setting]:
    """What the files and their annotations say; ``data``: how they were split."""
    settings = [
        Setting("data.provenance", "", "their origin and licence, now or later: exports state it"),
        _on_missing(look),
        Setting("runtime.workers", 0, "a thread reads videos beside the model"),
        Setting("evaluation.bootstrap", 500, "resamples of the intervals"),
        Setting("evaluation.latency_repeats", 5, "timed passes of each model"),
    ]
    if data.evaluation_videos:
        reason = (
            "to measure on: no subsets are named, so these were drawn, about a fifth, spread over "
            f"the classes (seed {SEED}); nothing here was chosen by them"
        )
        settings.append(Setting("data.evaluation_videos", list(data.evaluation_videos), reason))
    else:
        reason = "as the annotations name it"
        settings.append(Setting("data.evaluation_subset", data.evaluation_subset, reason))
    return settings


def _on_missing(look: Look) -> Setting:
    if not look.unreadable:
        return Setting("data.on_missing", "error", "all videos of the annotations can be read")
    names = [problem.video_id for problem in look.unreadable]
    reason = f"missing or unreadable: {some(names, SHOWN)}"
    return Setting("data.on_missing", "skip", reason)


def common(numbers: Numbers) -> list[Setting]:
    """What does not depend on the network."""
    held_out = holdout(numbers.videos)
    sided = sorted(name for name in numbers.actions if _names_a_side(name))
    return [
        Setting("data.holdout", held_out, _holdout_reason(numbers.videos, held_out)),
        Setting(
            "data.augment.flip", 0.0 if sided else 0.5,
            f"no mirroring: {sided[0]} says a side" if sided
            else "mirrored half of the time; 0 if a class of yours tells left from right",
        ),
        Setting("runtime.threads", max(1, min(numbers.cores - 1, 8)),
                f"{numbers.cores} cores, one of them reads videos"),
        Setting("runtime.precision", "bf16" if numbers.gpu else "fp32",
                "a GPU gains by it" if numbers.gpu else "on a CPU less gains nothing here"),
    ]  # fmt: skip


def holdout(videos: int) -> float:
    """The share of the training videos that epochs and networks are compared on."""
    if videos < FEW_VIDEOS:
        return 0.0
    return round(max(HELD_OUT, HELD_OUT_VIDEOS / videos), 2)


def _holdout_reason(videos: int, share: float) -> str:
    if not share:
        return f"{videos} training videos are too few to hold some out"
    return f"about {round(share * videos)} of {videos} training videos, to choose and compare on"


def _names_a_side(name: str) -> bool:
    return any(side in name.casefold() for side in ("left", "right", "clockwise"))


def sampling(numbers: Numbers, samples: int) -> float:
    """Samples per second at which a short action has ``samples`` of them, or a few more.

    A whole fraction of the videos' own rate, so that their frames stay evenly spaced.
    """
    slowest = min(SLOWEST, LONGEST_WINDOW / (2 * numbers.long))
    wanted = max(slowest, samples / numbers.short)
    return round(numbers.fps / max(1, math.floor(numbers.fps / wanted)), 3)


def samples_per_step(short: float, fps: float) -> int:
    """Samples of a step of the feature grid, a power of two: a short action spans four steps."""
    fitting = math.log2(max(2.0, short * fps / STEPS_OF_SHORT) + 1e-9)
    return int(2 ** math.floor(fitting))


def small_crop(side: int) -> int:
    """The side of the small network's input: whole patches, inside frames of this short side."""
    return max(SMALL_PATCH, min(SMALL_CROP, side * 8 // 9 // SMALL_PATCH * SMALL_PATCH))


def window_frames(numbers: Numbers, fps: float, multiple: int) -> int:
    """Samples of a window: four long actions, but no longer than most videos."""
    seconds = min(WINDOW_OF_LONG * numbers.long, max(numbers.video_seconds, 1.5 * numbers.long))
    frames = min(seconds * fps, LONGEST_WINDOW)
    return max(16, multiple) if frames <= multiple else multiple * math.ceil(frames / multiple)


def training(epochs: int, windows: int, batch: int, held_out: float) -> list[Setting]:
    """The length of the baseline's training, and what depends on it."""
    steps = epochs * windows / batch
    return [
        Setting("baseline.train.batch", batch, "windows"),
        Setting("baseline.train.epochs", epochs, f"{steps:.0f} steps: what the time allows"),
        Setting("baseline.train.stop", epochs, "all of them"),
        Setting("baseline.train.warmup", round(min(3.0, epochs / 20), 2), "of the epochs"),
        Setting("baseline.train.keep", "best" if held_out else "last",
                "the epoch best on held-out videos" if held_out else "no video is held out"),
        Setting("baseline.train.rate_every", max(1, epochs // 12), "a dozen ratings"),
    ]  # fmt: skip
