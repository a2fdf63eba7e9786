"""The sampling rule against exact fractions, and at both ends."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.video.files.sampling import (
    Sampling,
    count_samples,
    count_samples_at,
    source_indices,
    source_indices_at,
)

NTSC = Fraction(30000, 1001)
RATES = st.sampled_from(
    [Fraction(24), Fraction(24000, 1001), Fraction(25), NTSC, Fraction(30), Fraction(50), 2 * NTSC]
)


@given(frames=st.integers(1, 5000), rate=RATES, every=st.integers(1, 40))
def test_every_kth_frame_is_exactly_that(frames: int, rate: Fraction, every: int) -> None:
    wanted = list(range(0, frames, every))
    samples = Sampling(every).rate(float(rate))
    count = count_samples(frames, float(rate), samples)
    assert count == len(wanted)
    assert source_indices(np.arange(count), frames, float(rate), samples, 0).tolist() == wanted


@given(
    frames=st.integers(1, 3000),
    rate=RATES,
    fps=st.sampled_from([Fraction(4), Fraction(15, 2), Fraction(10), Fraction(12), Fraction(15)]),
)
def test_a_target_rate_shows_what_is_on_screen(frames: int, rate: Fraction, fps: Fraction) -> None:
    """In whole numbers: sample i is frame floor(i * rate / fps), as it exists."""
    wanted = []
    while (frame := len(wanted) * rate // fps) < frames:
        wanted.append(int(frame))
    count = count_samples(frames, float(rate), float(fps))
    assert count == len(wanted)
    assert source_indices(np.arange(count), frames, float(rate), float(fps), 0).tolist() == wanted


def test_sampling_faster_than_the_video_repeats_frames() -> None:
    count = count_samples(3, 10.0, 20.0)
    assert source_indices(np.arange(count), 3, 10.0, 20.0, 0).tolist() == [0, 0, 1, 1, 2, 2]


def test_samples_beyond_the_end_are_the_last_frame() -> None:
    assert source_indices(np.array([0, 99]), 10, 25.0, 12.5, 0).tolist() == [0, 9]


def test_timestamps_decide_where_the_rate_varies() -> None:
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.05])  # a pause of 0.8 s
    count = count_samples_at(1.1, 5)
    assert count == 6
    assert source_indices_at(np.arange(count), times, 5, 1e-3).tolist() == [0, 2, 2, 2, 2, 3]


def test_a_clock_in_milliseconds_does_not_move_frames() -> None:
    """30 frames per second in Matroska: frames start at 0, 33, 67, 100 ms."""
    times = np.round(np.arange(300) / 30, 3)
    found = source_indices_at(np.arange(150), times, 15, 1e-3)
    assert found.tolist() == list(range(0, 300, 2))


def test_one_of_the_two_must_be_given() -> None:
    assert Sampling(every=4).rate(30.0) == 7.5
    assert Sampling(fps=10.0).rate(30.0) == 10.0
    with pytest.raises(ValueError, match="every"):
        Sampling().rate(30.0)
