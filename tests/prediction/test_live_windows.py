"""The windows of a video that goes on are those of the video when its end is known."""

import numpy as np
import pytest
from tests.prediction.conftest import WINDOW

from tad_blockdrop.prediction.live.windows import RollingWindows
from tad_blockdrop.video.windows import cutting
from tad_blockdrop.video.windows.cutting import VideoRecord


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("count", range(3 * WINDOW.frames))
def test_they_are_those_of_the_whole_video(overlap, count) -> None:
    config = WINDOW.model_copy(update={"overlap": overlap})
    windows = RollingWindows("v", config)
    picture = np.zeros((config.crop, config.crop, 3), np.uint8)
    found = [*(windows.add(picture) for _ in range(count)), windows.last()]
    none = np.empty((0, 2)), np.empty(0, np.int64)
    record = VideoRecord("v", "", count, 5.0, count / 5, *none)
    expected = cutting.test_windows(record, config, overlap) if count else []
    assert [(one.window.start, one.window.n_valid) for one in found if one] == [
        (window.start, window.n_valid) for window in expected
    ]
