"""The rule between samples, source frames and seconds: sample i is shown at second i / rate.

Seconds count from the zero of the video's clock (``clock.py``). Samples before the first frame show
that frame; where the rate is constant, it starts a whole number of frames after zero. Three cases,
all exact at both ends:

- every k-th frame of a constant-rate video: sample i is frame ``i*k``;
- another rate, constant-rate video: the frame on screen at second ``i / rate``;
- variable frame rate: the same, by the decoder's timestamps (every k-th frame then means the
  mean rate divided by k).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tad_blockdrop.config import DataConfig

Indices = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]

# Of a frame: rates are floats, and i / rate must land on a frame that starts exactly there.
EPSILON = 1e-6


@dataclass(frozen=True)
class Sampling:
    """Every ``every``-th frame, or ``fps`` samples per second: exactly one of the two is given."""

    every: int | None = None
    fps: float | None = None

    @classmethod
    def of(cls, data: DataConfig) -> "Sampling":
        """As the settings say: ``data.every`` or ``data.fps``."""
        return cls(data.every, data.fps)

    def rate(self, file_rate: float) -> float:
        """Samples per second of a video with ``file_rate`` frames per second."""
        if self.every is not None:
            return file_rate / self.every
        if self.fps is None:
            raise ValueError("give every (each k-th frame) or fps (samples per second)")
        return self.fps


def frames_before(start: float, file_rate: float) -> int:
    """How many frames of a constant-rate video fit before its first one, at ``start`` seconds."""
    return round(start * file_rate)


def count_samples(n_frames: int, file_rate: float, rate: float) -> int:
    """How many samples a constant-rate video holds: those with second below its duration.

    ``n_frames``: with those that fit before the first (``frames_before``). With
    ``rate = file_rate / k`` that is ``ceil(n_frames / k)``.
    """
    return max(1, math.ceil((n_frames - EPSILON) * rate / file_rate))


def source_indices(
    samples: Indices, n_frames: int, file_rate: float, rate: float, before: int
) -> Indices:
    """Frames (n,) of a constant-rate video of ``n_frames`` that show the samples (n,).

    ``before``: see ``frames_before``.
    """
    frames: Indices = np.floor(samples * (file_rate / rate) + EPSILON).astype(np.int64)
    return (frames - before).clip(0, n_frames - 1)


def count_samples_at(duration: float, rate: float) -> int:
    """How many samples a variable-rate video of ``duration`` seconds holds."""
    return max(1, math.ceil(duration * rate - EPSILON))


def evenly_spaced(n_samples: int, count: int) -> Indices:
    """``count`` of ``n_samples`` samples from the first to the last, each at the nearest one.

    Where there are fewer, some come more than once.
    """
    spaced: Indices = np.linspace(0, n_samples - 1, count).round().astype(np.int64)
    return spaced


def source_indices_at(samples: Indices, times: Seconds, rate: float, tick: float) -> Indices:
    """Frames (n,) of a variable-rate video that are on screen at second ``samples / rate``.

    ``times`` (frames,): the seconds at which frames appear, rising. ``tick``: the seconds
    of one unit of the file's clock; times are rounded to it, so a frame counts as shown half a tick
    early (at most a millisecond).
    """
    early = min(tick / 2, 1e-3) + 1e-9
    frames = np.searchsorted(times - early, samples / rate, side="right") - 1
    return frames.clip(0, len(times) - 1).astype(np.int64)
