"""A dataset in numbers: its contents, the window and levels that fit it, what is not covered."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tad_blockdrop.config import DataConfig, DetectorConfig, HeadConfig
from tad_blockdrop.config.detector import doubling_ranges
from tad_blockdrop.video.windows.cutting import Floats

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SPLITS = ("train", "holdout", "test")
STEPS_OF_SHORT = 4  # grid steps that a short action (5 % are shorter) should span
WINDOW_OF_LONG = 4  # a window should be this many times a long action (1 % are longer)
PLACES = 64  # offsets against the grid at which an instance is tried
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples are spread evenly over every stride at once


def summarise(
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    listed: Mapping[str, int],
    data: DataConfig,
    detector: DetectorConfig,
) -> dict[str, Any]:
    """The summary as plain values.

    ``listed`` and ``used``: videos in the annotations and those that can be used (of ``train``,
    some may be ``holdout``); ``videos``, ``seconds``, ``classes``: counts and lengths;
    ``suggested``: see ``suggest``; ``warnings``: sentences on what the configured window, levels
    and ranges leave out.
    """
    split = videos.set_index("video_id")["split"]
    lengths = instances["end"] - instances["start"]
    steps = grid_lengths(videos, instances, data)
    return {
        "name": data.name,
        "listed": dict(listed),
        "used": {name: int((split == name).sum()) for name in SPLITS},
        "instances": _counts(instances["video_id"].map(split)),
        "classes": {
            str(name): _counts(rows["video_id"].map(split))
            for name, rows in instances.groupby("category", sort=False)
        },
        "video_seconds": _quantiles(videos["duration"]),
        "video_frames_per_second": _quantiles(videos["fps"]),
        "video_samples": _quantiles(videos["n_samples"]),
        "instance_seconds": _quantiles(lengths),
        "instance_grid_steps": _quantiles(steps),
        "suggested": suggest(videos, lengths, data, detector),
        "warnings": warnings(videos, instances, steps, data, detector),
    }


def describe(summary: Mapping[str, Any]) -> str:
    """The summary as a few lines for people, with a suggestion only where there are warnings."""
    used, listed, actions = summary["used"], summary["listed"], summary["instances"]
    seconds, steps, fits = (
        summary[key] for key in ("instance_seconds", "instance_grid_steps", "suggested")
    )
    counts = [
        f"{name}: {used[name]} videos, {actions[name]} actions" for name in SPLITS if used[name]
    ]
    quantiles = ("0%", "50%", "100%")
    lines = [
        f"dataset '{summary['name']}', {sum(used.values())} of {sum(listed.values())} videos",
        f"  {'; '.join(counts)}",
        f"  classes: {', '.join(summary['classes'])}",
        "  shortest, median and longest action: "
        f"{', '.join(f'{seconds[q]:.1f}' for q in quantiles)} s; "
        f"{', '.join(f'{steps[q]:.1f}' for q in quantiles)} steps of the feature grid",
    ]
    if summary["warnings"]:  # what is configured does not do
        lines.append(
            f"  suggested: windows of {fits['frames']} samples, a grid step of at most "
            f"{fits['grid_step_seconds']} s, {fits['levels']} levels with ranges {fits['ranges']}"
        )
    return "\n".join(lines)


def grid_lengths(videos: pd.DataFrame, instances: pd.DataFrame, data: DataConfig) -> pd.Series:
    """The length of each instance in steps of the feature grid."""
    lengths = instances["end"] - instances["start"]
    by_video = videos.set_index("video_id")
    if data.window.kind == "resize":
        return lengths / instances["video_id"].map(by_video["duration"]) * data.window.grid
    return lengths * instances["video_id"].map(by_video["rate"]) / data.window.frames_per_step


def suggest(
    videos: pd.DataFrame, lengths: pd.Series, data: DataConfig, detector: DetectorConfig
) -> dict[str, Any]:
    """Window, levels and ranges that fit the lengths of the instances (s), by rules of thumb.

    A grid step is so short that all but the shortest 5 % span four; a window is four times as long
    as all but the longest 1 %; there are as many levels as the longest can use, each range twice
    the one before.
    ``grid_step_seconds``, ``window_seconds``; ``every``: the sampling that gives this step with
    one sample each; ``frames``: the window at the configured sampling, a multiple of what clips
    and levels need; ``levels``, ``ranges``.
    """
    if lengths.empty:
        return {}
    short, long = (float(lengths.quantile(q)) for q in (0.05, 0.99))
    step = short / STEPS_OF_SHORT
    ranges = fitting_ranges(long / step)
    levels = len(ranges)
    multiple = math.lcm(
        detector.backbone.geometry.clip_frames, data.window.frames_per_step * 2 ** (levels - 1)
    )
    frames = WINDOW_OF_LONG * long * float(videos["rate"].median())
    return {
        "grid_step_seconds": round(step, 3),
        "every": max(1, math.floor(step * float(videos["fps"].median()))),
        "window_seconds": round(WINDOW_OF_LONG * long, 1),
        "frames": multiple * math.ceil(frames / multiple),
        "levels": levels,
        "ranges": ranges,
    }


def fitting_ranges(longest: float) -> list[list[int]]:
    """Per level the lengths (grid steps) that it regresses, for actions of up to ``longest``.

    As many levels as those can use, each range twice the one before.
    """
    levels = 1 + max(0, math.floor(math.log2(max(longest / 2 / 4, 0.5))) + 1)
    return [list(pair) for pair in doubling_ranges(levels)]


def warnings(
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    steps: pd.Series,
    data: DataConfig,
    detector: DetectorConfig,
) -> list[str]:
    """What the configured window, levels and ranges do not cover."""
    found = []
    window, total = data.window, len(instances)
    longer = int((steps > window.grid).sum())
    if window.kind == "sliding" and longer:
        span = window.frames / float(videos["rate"].median())
        found.append(
            f"{longer} of {total} instances are longer than a window ({span:.1f} s), so no "
            "window contains them whole: raise data.window.frames, or sample less often "
            "(data.every, data.fps)"
        )
    share = covered_share(steps.clip(upper=window.grid).to_numpy(), detector.head)
    uncovered = share < 0.5
    if uncovered.any():
        lost = steps[uncovered]
        more = "raise data.window.grid"
        if window.kind == "sliding":
            more = "sample more often (data.every, data.fps)"
        found.append(
            f"{uncovered.sum()} of {total} instances (of {lost.min():.2g} to {lost.max():.2g} "
            "grid steps) are hardly learned, as they fit no level at most positions: change "
            f"detector.head.ranges, or for short ones {more}"
        )
    learned = set(videos.loc[videos["split"] == "train", "video_id"])
    seconds = instances["end"] - instances["start"]
    whole = instances["video_id"].map(videos.set_index("video_id")["duration"])
    small = (seconds <= window.min_instance_share * whole) & instances["video_id"].isin(learned)
    if small.any():
        found.append(
            f"{small.sum()} training instances cover at most {window.min_instance_share:.2g} of "
            "their video and are left out of training (data.window.min_instance_share)"
        )
    return found


def covered_share(lengths: Floats, head: HeadConfig) -> Floats:
    """The share of offsets against the grid at which an instance has a positive point.

    ``lengths`` (n,) in grid steps -> (n,). A point is positive inside the instance, within
    ``centre_radius`` strides of its centre, if the larger distance to its ends is in the range of
    the point's level (docs/method.md §2.3).
    """
    half = np.asarray(lengths, dtype=float)[:, None, None] / 2
    coarsest = 2 ** (len(head.ranges) - 1)
    centres = np.arange(PLACES) * GOLDEN % 1 * coarsest
    positive = np.zeros((len(half), PLACES), dtype=bool)
    reach = math.ceil(head.centre_radius) + 1
    for level, (low, high) in enumerate(head.ranges):
        stride = 2**level
        near = np.round(centres / stride)[:, None] + np.arange(-reach, reach + 1)
        away = np.abs(near * stride - centres[:, None])  # (PLACES, points)
        larger = half + away
        inside = (away < half) & (away <= head.centre_radius * stride)
        positive |= (inside & (larger >= low) & (larger <= high)).any(axis=2)
    share: Floats = positive.mean(axis=1)
    return share


def _counts(splits: pd.Series) -> dict[str, int]:
    return {name: int((splits == name).sum()) for name in SPLITS}


def _quantiles(values: pd.Series | Sequence[float]) -> dict[str, float]:
    numbers = pd.Series(values, dtype=float).dropna()
    if numbers.empty:
        return {}
    return {f"{q:.0%}": round(float(numbers.quantile(q)), 3) for q in QUANTILES}
