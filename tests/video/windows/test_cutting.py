"""Windows: coverage, padding, ground truth inside, and the way back to seconds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.video.windows import (
    cutting as cut,  # pytest would collect a bare ``test_windows``
)
from tad_blockdrop.video.windows.cutting import (
    VideoRecord,
    _best_share,
    _share_inside,
    grid_mask,
    records,
    to_seconds,
    training_window,
)


def config(frames: int = 16, grid: int | None = None, **others: object) -> WindowConfig:
    sizes = {"frames": frames, "grid": grid or frames, "crop": 16, "short_side": 16}
    return WindowConfig.model_validate(sizes | others)


def record(
    n_samples: int, segments: list[tuple[float, float]] | None = None, rate: float = 1.0
) -> VideoRecord:
    """A video whose segments are given in samples."""
    array = np.array(segments or [], dtype=float).reshape(-1, 2)
    return VideoRecord(
        video_id="v",
        path="v.mp4",
        n_samples=n_samples,
        rate=rate,
        duration=n_samples / rate,
        segments_seconds=array / rate,
        labels=np.arange(len(array)),
    )


@given(
    n_samples=st.integers(1, 400),
    frames=st.integers(16, 64),
    overlap=st.floats(0, 0.99),
)
def test_sliding_windows_cover_every_sample_and_none_comes_twice(
    n_samples: int, frames: int, overlap: float
) -> None:
    windows = cut.test_windows(record(n_samples), config(frames), overlap)
    starts = [w.start for w in windows]
    assert starts == sorted(set(starts))
    seen = {int(s) for w in windows for s in w.samples[: w.n_valid]}
    assert seen == set(range(n_samples))
    for window in windows:
        assert window.samples.shape == (frames,)
        assert window.n_valid == min(frames, n_samples)
        assert window.samples.max() < n_samples
    assert windows[-1].start + windows[-1].n_valid == n_samples
    shared = frames - np.diff(starts)
    assert np.all(shared >= min(round(overlap * frames), frames - 1) - 1)


def test_the_lengths_that_lose_or_repeat_windows_elsewhere() -> None:
    starts = [w.start for w in cut.test_windows(record(800), config(768), 0.25)]
    assert starts == [0, 32]
    starts = [w.start for w in cut.test_windows(record(768 + 384), config(768), 0.5)]
    assert starts == [0, 384]
    assert [w.start for w in cut.test_windows(record(768), config(768), 0.5)] == [0]


def test_a_short_video_is_padded_by_its_last_sample() -> None:
    (window,) = cut.test_windows(record(5), config(16), 0.5)
    assert window.n_valid == 5
    assert window.samples.tolist() == [0, 1, 2, 3, 4] + [4] * 11


def test_test_windows_hold_clipped_segments_that_are_inside_enough() -> None:
    video = record(32, [(2, 6), (12, 20), (13, 17), (0, 32)])
    first, second = cut.test_windows(video, config(16, grid=8), 0.0)
    # (12, 20) is half in each; (13, 17) is 3/4 in the first; (0, 32) fills both.
    assert first.labels.tolist() == [0, 2, 3]
    assert first.segments.tolist() == [[1, 3], [6.5, 8], [0, 8]]
    assert second.labels.tolist() == [3]
    assert second.segments.tolist() == [[0, 8]]
    assert first.segments.dtype == np.float32


@given(
    n_samples=st.integers(1, 120),
    spans=st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 1)), min_size=1, max_size=5),
    min_inside=st.floats(0.05, 1.0),
    seed=st.integers(0, 1000),
)
def test_a_training_window_holds_an_action_and_lies_in_the_video(
    n_samples: int, spans: list[tuple[float, float]], min_inside: float, seed: int
) -> None:
    segments = [(a * n_samples, min(1.0, a + length) * n_samples) for a, length in spans]
    segments = [(a, b) for a, b in segments if b - a > 1e-3]
    assume(segments)
    video = record(n_samples, segments)
    window = training_window(video, config(16, min_inside=min_inside), np.random.default_rng(seed))
    assert 1 <= window.n_valid <= min(16, n_samples)
    assert window.n_valid >= min(16, int(0.9 * n_samples))
    assert window.samples[0] == window.start
    assert np.all(np.diff(window.samples[: window.n_valid]) == 1)  # the rate never changes
    assert np.all(window.samples[window.n_valid :] == window.samples[window.n_valid - 1])
    assert window.samples[-1] < n_samples
    assert len(window.labels) >= 1
    assert np.all(window.segments[:, 0] < window.segments[:, 1])
    assert window.segments.min() >= 0
    assert window.segments.max() <= window.n_valid
    for segment, label in zip(window.segments, window.labels, strict=True):
        start, end = segments[label]  # clipping moves only the ends that are outside
        expected = max(start - window.start, 0), min(end - window.start, window.n_valid)
        assert segment == pytest.approx(expected, abs=1e-4)


@given(
    n_samples=st.integers(17, 80),
    spans=st.lists(st.tuples(st.floats(0, 79), st.floats(0.01, 40)), max_size=6),
)
def test_the_best_share_is_that_of_all_windows_with_all_actions(
    n_samples: int, spans: list[tuple[float, float]]
) -> None:
    segments = np.array([(a, a + length) for a, length in spans]).reshape(-1, 2)
    starts = np.arange(n_samples - 15)
    everywhere = _share_inside(segments, starts[:, None], 16).max(axis=1, initial=0.0)
    assert np.array_equal(_best_share(segments, starts, 16), everywhere)


def test_training_windows_are_uniform_over_the_places_that_hold_the_action() -> None:
    video = record(100, [(40, 48)])  # of 8 samples, 6 must be inside: starts 30 to 42
    rng = np.random.default_rng(0)
    starts = [training_window(video, config(16), rng).start for _ in range(2600)]
    values, counts = np.unique(starts, return_counts=True)
    assert values.tolist() == list(range(30, 43))
    assert counts.min() > 130  # 200 expected, standard deviation 14
    assert counts.max() < 270


def test_an_action_longer_than_the_window_is_learnt_from_what_fills_it() -> None:
    video = record(200, [(50, 150)])
    for seed in range(50):
        window = training_window(video, config(16), np.random.default_rng(seed))
        assert window.segments[0, 1] - window.segments[0, 0] >= 12


def test_training_drops_what_is_too_short_a_share_of_the_video() -> None:
    video = record(100, [(10, 11), (20, 22)])
    sizes = config(16, kind="resize", min_instance_share=0.01)
    window = training_window(video, sizes, np.random.default_rng(0))
    assert window.labels.tolist() == [1]


def test_a_video_without_actions_still_gives_a_window() -> None:
    window = training_window(record(100), config(16), np.random.default_rng(0))
    assert window.segments.shape == (0, 2)
    assert window.n_valid == 16


def test_training_windows_depend_on_the_generator_alone() -> None:
    video = record(500, [(40, 48), (300, 310)])
    draws = [
        [training_window(video, config(16), np.random.default_rng(s)).start for s in range(20)]
        for _ in range(2)
    ]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 5


@given(n_samples=st.integers(1, 300))
def test_resize_samples_the_whole_video_evenly(n_samples: int) -> None:
    video = record(n_samples, [(0, n_samples)], rate=7.0)
    (window,) = cut.test_windows(video, config(64, grid=16, kind="resize"), 0.5)
    assert window.samples[0] == 0
    assert window.samples[-1] == n_samples - 1
    assert window.n_valid == 64
    ideal = np.arange(64) * (n_samples - 1) / 63
    assert np.abs(window.samples - ideal).max() <= 0.5 + 1e-9
    assert window.segments.tolist() == [[0, 16]]


@given(n_samples=st.integers(1, 300))
def test_a_proxy_of_some_samples_shows_those_that_the_window_asks_for(n_samples: int) -> None:
    video = replace(record(n_samples, [(0, n_samples)], rate=7.0), kept=64)
    (window,) = cut.test_windows(video, config(64, grid=16, kind="resize"), 0.5)
    held = np.arange(n_samples)[np.unique(window.samples)]  # what is in the proxy, in its order
    assert np.array_equal(held[video.frames_of(window.samples)], window.samples)


def test_samples_that_a_proxy_does_not_hold_are_refused() -> None:
    video = replace(record(200), kept=64)
    with pytest.raises(ValueError, match="holds 64 other samples"):
        video.frames_of(np.array([0, 1]))


@given(
    n_samples=st.integers(64, 500),
    grid=st.sampled_from([64, 32, 16]),
    kind=st.sampled_from(["sliding", "resize"]),
    rate=st.floats(0.5, 60),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_segments_come_back_to_their_seconds(
    n_samples: int, grid: int, kind: str, rate: float, ends: tuple[float, float]
) -> None:
    start, end = sorted(e * n_samples for e in ends)
    assume(end - start > 0.1)
    video = record(n_samples, [(start, end)], rate=rate)
    sizes = config(64, grid=grid, kind=kind)
    for window in cut.test_windows(video, sizes, 0.5):
        back = to_seconds(window.segments, window.start, rate, video.duration, sizes)
        for segment in back:
            bounds = window.start / rate, (window.start + 64) / rate
            if kind == "resize":
                bounds = 0.0, video.duration
            truth = np.array([start, end]).clip(*(np.array(bounds) * rate)) / rate
            assert segment == pytest.approx(truth, abs=1e-3 / rate * n_samples / 64)


def test_seconds_are_clamped_to_the_video() -> None:
    sizes = config(16, grid=8)
    x = np.array([[-3.0, 100.0]])
    assert to_seconds(x, 10, 4.0, 6.0, sizes).tolist() == [[1.0, 6.0]]
    assert to_seconds(x, 0, 4.0, 6.0, sizes).tolist() == [[0.0, 6.0]]
    assert to_seconds(x, 0, 4.0, 6.0, config(16, 8, kind="resize")).tolist() == [[0.0, 6.0]]


@pytest.mark.parametrize(("n_valid", "true_steps"), [(16, 4), (13, 4), (12, 3), (5, 2), (1, 1)])
def test_a_grid_step_counts_if_any_of_its_samples_is_real(n_valid: int, true_steps: int) -> None:
    mask = grid_mask(n_valid, config(16, grid=4))
    assert mask.tolist() == [True] * true_steps + [False] * (4 - true_steps)


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    videos = pd.DataFrame(
        {
            "video_id": ["b", "a", "c"],
            "split": ["train", "train", "test"],
            "path": ["b.mp4", "a.mp4", "c.mp4"],
            "n_samples": [100, 50, 10],
            "rate": [10.0, 10.0, 10.0],
            "duration": [10.0, 5.0, 1.0],
        }
    )
    instances = pd.DataFrame(
        [("b", "run", 1.0, 2.0), ("b", "jump", 9.0, 12.0), ("b", "run", 10.5, 11.0)],
        columns=["video_id", "label", "start", "end"],
    )
    return videos, instances


def test_records_are_sorted_and_clip_instances_to_the_video() -> None:
    first, second = records(*tables(), ("jump", "run"), "train")
    assert (first.video_id, second.video_id) == ("a", "b")
    assert first.segments_seconds.shape == (0, 2)
    assert first.frames_of(np.array([0, 3])).tolist() == [0, 3]
    assert second.segments_seconds.tolist() == [[1, 2], [9, 10]]
    assert second.labels.tolist() == [1, 0]


def test_videos_without_a_proxy_have_a_frame_for_each_sample() -> None:
    videos, instances = tables()
    videos = videos.assign(source_frames=[np.arange(n) * 4 for n in videos["n_samples"]])
    first, _ = records(videos, instances, ("jump", "run"), "train")
    assert first.frames_of(np.array([0, 3])).tolist() == [0, 12]
    with pytest.raises(ValueError, match="video 'a': 50 source frames for 51 samples"):
        records(videos.replace({"n_samples": 50}, 51), instances, ("jump", "run"), "train")


def test_nothing_need_be_held_out() -> None:
    assert records(*tables(), ("jump", "run"), "holdout") == []


def test_records_say_what_is_wrong() -> None:
    videos, instances = tables()
    with pytest.raises(ValueError, match=r"no video in the split 'validation'.*test, train"):
        records(videos, instances, ("jump", "run"), "validation")
    with pytest.raises(ValueError, match=r"video 'b': label 'jump' .* data.classes_file"):
        records(videos, instances, ("run",), "train")
    with pytest.raises(ValueError, match="video 'c': n_samples"):
        records(videos.assign(n_samples=0), instances, ("jump", "run"), "test")
