"""Streamed windows hold the pixels that evaluation reads, and not more of them than one window."""

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from prediction_videos import KINDS, evaluation_record

from tad_blockdrop.config import DataConfig, WindowConfig
from tad_blockdrop.prediction import stream as streaming
from tad_blockdrop.prediction.stream import ReadingJob, open_stream, stream_windows
from tad_blockdrop.video.files import decode
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.windows.loading import TestWindows

SLIDING = WindowConfig.model_validate({"frames": 16, "grid": 8, "crop": 16, "short_side": 18})
RESIZE = SLIDING.model_copy(update={"kind": "resize"})
EACH = Sampling(every=1)
SAMPLINGS = [EACH, Sampling(every=3), Sampling(fps=7.0), Sampling(fps=25.0)]


def opened(
    path: Path, window: WindowConfig = SLIDING, sampling: Sampling = EACH
) -> streaming.VideoStream:
    return open_stream(ReadingJob(path, "video", sampling, window))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("window", [SLIDING, RESIZE], ids=["sliding", "resize"])
def test_pixels_and_windows_are_those_of_evaluation(kind, sampling, window, write_video):
    path = write_video(**KINDS[kind])
    data = DataConfig(every=sampling.every, fps=sampling.fps, window=window, proxy=None)
    expected = TestWindows([evaluation_record(path, sampling)], data, window.overlap)
    found = list(stream_windows(opened(path, window, sampling)))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, (expected[i] for i in range(len(expected))), strict=True):
        assert ours.window.start == theirs.window.start
        assert torch.equal(ours.mask, theirs.mask)
        assert torch.equal(ours.frames, theirs.frames)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_one_window_of_frames_is_alive_at_most(overlap, write_video, monkeypatch):
    path = write_video(length=150)
    window = SLIDING.model_copy(update={"overlap": overlap})
    original = streaming._small_frames
    alive, most = 0, 0

    def fell() -> None:
        nonlocal alive
        alive -= 1

    def watched(*args):
        nonlocal alive, most
        for frame in original(*args):
            copy = frame.clone()
            weakref.finalize(copy, fell)
            alive += 1
            most = max(most, alive)
            yield copy
            del copy, frame

    monkeypatch.setattr(streaming, "_small_frames", watched)
    for loaded in stream_windows(opened(path, window)):
        del loaded
    assert window.frames <= most <= window.frames + 1


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 24])
def test_short_videos_are_padded_windows(length, write_video):
    found = list(stream_windows(opened(write_video(length=length))))
    assert [f.window.start for f in found] == sorted(
        {0, *range(0, max(0, length - 16), 8), max(0, length - 16)}
    )
    first = found[0]
    assert first.frames.shape == (16, 16, 16, 3)
    assert int(first.mask.sum()) == min(8, -(-length // 2))
    for i in range(length, 16):
        assert torch.equal(first.frames[i], first.frames[length - 1])


def test_a_file_cut_short_is_refused(write_video):
    path = write_video("cut.mkv", codec="mpeg4", length=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        list(stream_windows(opened(path)))


def test_a_frame_that_gets_lost_is_named(write_video, monkeypatch):
    path = write_video()
    every_frame = decode.numbered_frames

    def without_frame_30(path: Path, stamps):
        return ((n, f) for n, f in every_frame(path, stamps) if n != 30)

    monkeypatch.setattr(decode, "numbered_frames", without_frame_30)
    windows = stream_windows(opened(path))
    assert next(windows).window.start == 0
    with pytest.raises(DecodeError, match="frame 30 cannot be decoded"):
        list(windows)


def test_frames_are_numbered_by_their_time(write_video):
    """Variable rate: the timestamps count, and sampling by time repeats frames that stay long."""
    stamps = [0, 10, 20, 90, 100, 110, 200, 210]
    path = write_video("variable.mp4", length=8, stamps=stamps)
    stream = opened(path, sampling=Sampling(fps=10.0))
    shown = stream.record.source_indices
    at = np.arange(len(shown)) * 10
    assert shown.tolist() == (np.searchsorted(stamps, at, side="right") - 1).tolist()
