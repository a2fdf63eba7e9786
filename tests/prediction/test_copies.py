"""Which files browsers play, and the small copies of the others."""

import numpy as np
import pytest
from prediction_videos import KINDS

from tad_blockdrop.prediction.copies import plays_in_browser, write_small_copy
from tad_blockdrop.video.files.clock import PLAYER, Timing
from tad_blockdrop.video.files.probe import probe, timeline

FRAMES = Timing("frames")


@pytest.mark.parametrize(
    ("name", "codec", "plays"),
    [
        ("a.mp4", "libx264", True),
        ("a.MP4", "libx264", True),
        ("a.webm", "libvpx-vp9", True),
        ("a.webm", "libvpx", True),
        ("a.mkv", "libx264", False),
        ("a.mp4", "mpeg4", False),
        ("a.avi", "mpeg4", False),
    ],
)
def test_the_file_itself_plays_where_browsers_can(write_video, name, codec, plays):
    path = write_video(name, length=5, codec=codec)
    assert plays_in_browser(path, timeline(path), PLAYER) is plays


def test_a_file_whose_frames_a_browser_shows_at_other_times_is_copied(write_video):
    even = write_video("even.mp4")
    assert plays_in_browser(even, timeline(even, FRAMES), FRAMES)
    odd = write_video(**KINDS["variable"])
    assert plays_in_browser(odd, timeline(odd), PLAYER)
    assert not plays_in_browser(odd, timeline(odd, FRAMES), FRAMES)


def test_a_small_copy_shows_the_same_frames_at_the_same_times(write_video, tmp_path):
    source = write_video("wide.avi", codec="mpeg4", size=(480, 960), length=12)
    write_small_copy(source, tmp_path / "copy.mp4")
    facts = probe(tmp_path / "copy.mp4")
    assert (facts.height, facts.width, facts.codec) == (360, 720, "h264")
    np.testing.assert_allclose(
        timeline(tmp_path / "copy.mp4").times, timeline(source).times, atol=1e-3
    )
    assert plays_in_browser(tmp_path / "copy.mp4", timeline(tmp_path / "copy.mp4"), PLAYER)
