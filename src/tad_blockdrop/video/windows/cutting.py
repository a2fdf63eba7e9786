"""Windows: which samples one forward pass sees, and the ground truth inside them.

The one place that cuts a video, for training, scoring, evaluation and prediction alike
(docs/method.md §2.5), and the one place that turns grid coordinates back into seconds. Nothing here
reads a frame. Units: a *sample* is a frame taken at the video's uniform ``rate``, shown at second
``i / rate``; a *grid step* is ``window.frames_per_step`` samples.
"""

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.video.files.sampling import evenly_spaced

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VideoRecord:
    """One video as windows need it.

    ``path`` names a proxy, whose frame i is sample i, unless ``source_indices`` (n_samples,)
    is given: then it names the source, and sample i is its frame ``source_indices[i]``. With
    ``kept`` the proxy holds no more than so many samples, evenly spaced.
    ``segments_seconds`` (G, 2) lie inside [0, duration] and are longer than zero; ``labels``
    (G,) index the classes. ``rate`` is in samples per second, ``duration`` in seconds. ``content``
    identifies what the frames were made from, where that is known.
    """

    video_id: str
    path: str
    n_samples: int
    rate: float
    duration: float
    segments_seconds: Floats
    labels: Integers
    source_indices: Integers | None = None
    content: str = ""
    kept: int | None = None

    def frames_of(self, samples: Integers) -> Integers:
        """The frames of the file at ``path`` that show these samples, which must be in it."""
        if self.source_indices is not None:
            return self.source_indices[samples]
        if self.kept is None:
            return samples
        there = np.unique(evenly_spaced(self.n_samples, self.kept))
        if not np.isin(samples, there).all():
            raise ValueError(f"the proxy of '{self.video_id}' holds {len(there)} other samples")
        return np.searchsorted(there, samples)


@dataclass(frozen=True, eq=False)
class Window:
    """One cut of a video.

    ``start`` is its first sample (0 for the kind ``resize``); ``samples`` (frames,) are those to
    read, of which the first ``n_valid`` are real and the others repeat the last real one.
    ``segments`` (G, 2) are in grid steps from the window's start and clipped to its real part.
    """

    video_id: str
    start: int
    samples: Integers
    n_valid: int
    segments: NDArray[np.float32]
    labels: Integers


def records(
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: Sequence[str],
    split: str,
) -> list[VideoRecord]:
    """The videos of one split with their instances, sorted by video_id.

    ``instances`` must carry labels out of ``classes`` (a class-agnostic detector's caller renames
    them all to its one class). Instances are clipped to the video; what is then empty is left
    out. Videos that are read without a proxy have the source frame of each sample in the column
    ``source_frames``; those whose proxy holds only some samples say in ``kept`` how many. Only the
    split ``holdout`` may be empty. Raises ValueError for any other empty split, a video without
    samples, an unknown label.
    """
    chosen = videos[videos["split"] == split].sort_values("video_id")
    if chosen.empty and split != "holdout":
        found = ", ".join(sorted(map(str, videos["split"].unique()))) or "none"
        raise ValueError(f"no video in the split '{split}'; the videos table has: {found}")
    index = {name: i for i, name in enumerate(classes)}
    per_video = dict(list(instances.groupby("video_id")))
    none = instances.iloc[:0]
    return [
        _record(row, per_video.get(row["video_id"], none), index)
        for row in chosen.to_dict("records")
    ]


def _record(
    row: Mapping[Hashable, Any],
    instances: pd.DataFrame,
    index: Mapping[str, int],
) -> VideoRecord:
    video = str(row["video_id"])
    n_samples, rate, duration = row["n_samples"], row["rate"], row["duration"]
    if n_samples < 1 or not rate > 0 or not duration > 0:
        raise ValueError(
            f"video '{video}': n_samples, rate and duration must be positive in the videos "
            f"table, got {n_samples:g}, {rate:g}, {duration:g}; remove it or sample it again"
        )
    frames = row.get("source_frames")
    source = None if frames is None else np.asarray(frames, dtype=np.int64)
    if source is not None and len(source) != n_samples:
        raise ValueError(
            f"video '{video}': {len(source)} source frames for {n_samples:g} samples; "
            "make the videos table again"
        )
    unknown = sorted(set(instances["label"]) - set(index))
    if unknown:
        raise ValueError(
            f"video '{video}': label '{unknown[0]}' is not among the {len(index)} classes; "
            "add it to data.classes_file or remove these annotations"
        )
    segments = instances[["start", "end"]].to_numpy(np.float64).clip(0, duration)
    labels = np.array([index[label] for label in instances["label"]], dtype=np.int64)
    real = segments[:, 1] > segments[:, 0]
    return VideoRecord(
        video_id=video,
        path=str(row["path"]),
        n_samples=int(n_samples),
        rate=float(rate),
        duration=float(duration),
        segments_seconds=segments[real],
        labels=labels[real],
        source_indices=source,
        content=str(row.get("content", "")),
        kept=row.get("kept"),
    )


def records_hash(videos: Sequence[VideoRecord]) -> str:
    """SHA-256 of all that can be learned from videos: frames, segments and labels, in order.

    Their paths do not count, so that a project can be moved.
    """
    digest = hashlib.sha256()
    for video in videos:
        facts = (video.video_id, video.n_samples, video.rate, video.duration, video.content)
        digest.update(repr(facts).encode())
        digest.update(video.segments_seconds.tobytes() + video.labels.tobytes())
    return digest.hexdigest()


def test_windows(record: VideoRecord, window: WindowConfig, overlap: float) -> list[Window]:
    """The windows of a video for validation, scoring and prediction, in order of time.

    ``sliding``: every sample is in at least one window and no window comes twice; the last one is
    shifted back to end at the video's end, so it may overlap more than the others. A shorter video
    is one padded window. ``resize``: one window.
    """
    if window.kind == "resize":
        return [_whole(record, window, record.segments_seconds, record.labels)]
    length = min(window.frames, record.n_samples)
    step = window_step(window, overlap)
    last = record.n_samples - length
    segments = record.segments_seconds * record.rate
    return [
        _cut(record, window, segments, record.labels, start, length, window.min_inside)
        for start in [*range(0, last, step), last]
    ]


def window_step(window: WindowConfig, overlap: float) -> int:
    """How many samples a sliding test window starts after the one before."""
    return max(1, round(window.frames * (1 - overlap)))


def window_samples(window: WindowConfig, start: int, length: int) -> Integers:
    """The samples (frames,) of a window with ``length`` real ones; the last one is repeated."""
    return start + np.minimum(np.arange(window.frames), length - 1)


def training_window(record: VideoRecord, window: WindowConfig, rng: np.random.Generator) -> Window:
    """A random window that holds at least one action, drawn uniformly from all that do.

    A window holds an action when a share of at least ``min_inside`` of it lies inside. An action
    longer than the window cannot be inside; there the share is that of the window which the
    action fills. Should no window hold one (whole samples, ``min_inside`` near 1), those that
    come closest are drawn from. Without actions any window may come. A video no longer than the
    window is cropped to ``short_video_crop`` of itself and padded. ``resize``: the whole video.
    """
    record = trained_on(record, window)
    segments_seconds, labels = record.segments_seconds, record.labels
    if window.kind == "resize":
        return _whole(record, window, segments_seconds, labels)
    length = window.frames
    if record.n_samples <= length:
        length = max(1, round(record.n_samples * rng.uniform(*window.short_video_crop)))
    segments = segments_seconds * record.rate
    starts = np.arange(record.n_samples - length + 1)
    best = _best_share(segments, starts, length)
    needed = min(window.min_inside, float(best.max()))
    start = int(rng.choice(starts[best >= needed]))
    return _cut(record, window, segments, labels, start, length, needed)


def trained_on(record: VideoRecord, window: WindowConfig) -> VideoRecord:
    """The record with the actions alone that are long enough to train on.

    One of up to ``min_instance_share`` of the video's duration is left out.
    """
    lengths = record.segments_seconds[:, 1] - record.segments_seconds[:, 0]
    long_enough = lengths > window.min_instance_share * record.duration
    return replace(
        record,
        segments_seconds=record.segments_seconds[long_enough],
        labels=record.labels[long_enough],
    )


def to_seconds(
    x: Floats, start: int, record_rate: float, duration: float, window: WindowConfig
) -> Floats:
    """Grid coordinates of a window that begins at sample ``start`` -> seconds of its video."""
    if window.kind == "resize":
        seconds = np.asarray(x, np.float64) / window.grid * duration
    else:
        seconds = (start + np.asarray(x, np.float64) * window.frames_per_step) / record_rate
    return seconds.clip(0.0, duration)


def grid_mask(n_valid: int, window: WindowConfig) -> NDArray[np.bool_]:
    """(grid,) true for the grid steps that hold at least one real sample."""
    return np.arange(window.grid) * window.frames_per_step < n_valid


def _share_inside(segments: Floats, start: Integers | int, length: int) -> Floats:
    """The share of each segment (G, 2), in samples, inside [start, start + length).

    (..., G) for starts (..., 1). Relative to the shorter of segment and window, see
    ``training_window``.
    """
    inside = np.minimum(segments[:, 1], start + length) - np.maximum(segments[:, 0], start)
    longest_possible = np.minimum(segments[:, 1] - segments[:, 0], length)
    share: Floats = inside.clip(0.0) / longest_possible
    return share


def _best_share(segments: Floats, starts: Integers, length: int) -> Floats:
    """The largest :func:`_share_inside` of all segments, for windows at ``starts`` 0, 1, 2, …"""
    best = np.zeros(len(starts))
    for segment in segments:  # each only where it is seen: memory does not grow with their number
        first = max(0, math.floor(segment[0]) - length)
        near = slice(first, max(first, math.ceil(segment[1])))
        share = _share_inside(segment[None], starts[near, None], length)[:, 0]
        best[near] = np.maximum(best[near], share)
    return best


def _cut(
    record: VideoRecord,
    window: WindowConfig,
    segments: Floats,
    labels: Integers,
    start: int,
    length: int,
    min_inside: float,
) -> Window:
    """The window of ``length`` real samples from ``start``; segments (G, 2) are in samples."""
    share = _share_inside(segments, start, length)
    held = (share >= min_inside) & (share > 0)
    return Window(
        video_id=record.video_id,
        start=start,
        samples=window_samples(window, start, length),
        n_valid=length,
        segments=_on_grid((segments[held] - start).clip(0, length) / window.frames_per_step),
        labels=labels[held],
    )


def _whole(
    record: VideoRecord, window: WindowConfig, segments_seconds: Floats, labels: Integers
) -> Window:
    """The whole video as ``window.frames`` samples, evenly spaced from its first to its last.

    Positions are rounded to the nearest sample, so a short video repeats some; all are real.
    """
    return Window(
        video_id=record.video_id,
        start=0,
        samples=evenly_spaced(record.n_samples, window.frames),
        n_valid=window.frames,
        segments=_on_grid(segments_seconds / record.duration * window.grid),
        labels=labels,
    )


def _on_grid(segments: Floats) -> NDArray[np.float32]:
    return segments.astype(np.float32)
