"""The windows of a video whose end is not known yet: those that ``test_windows`` cuts."""

from collections import deque

import numpy as np
import torch
from torch import Tensor

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.video.files.container import Pixels
from tad_blockdrop.video.windows.batches import LoadedWindow, loaded
from tad_blockdrop.video.windows.cutting import Window, window_samples, window_step


class RollingWindows:
    """Holds the samples of one window; ``count``: how many samples there were."""

    def __init__(self, video_id: str, window: WindowConfig) -> None:
        self._video_id, self._window = video_id, window
        self._step = window_step(window, window.overlap)
        self._held: deque[Tensor] = deque(maxlen=window.frames)
        self._next = 0  # the sample at which the next window begins
        self.count = 0

    def add(self, pixels: Pixels) -> LoadedWindow | None:
        """Take the next sample, uint8 (crop, crop, 3); the window that ends with it, if any."""
        self._held.append(torch.from_numpy(pixels))
        self.count += 1
        if self.count < self._next + self._window.frames:
            return None
        self._next += self._step
        return self._newest()

    def last(self) -> LoadedWindow | None:
        """The window that holds the end of the video, unless it has been there."""
        # The end of the one before, if there was one.
        done = self._next - self._step + self._window.frames if self._next else 0
        return self._newest() if self.count != done else None

    def _newest(self) -> LoadedWindow:
        """The window of the samples that are held."""
        length = len(self._held)
        start = self.count - length
        samples = window_samples(self._window, start, length)
        none = np.empty((0, 2), np.float32), np.empty(0, np.int64)
        window = Window(self._video_id, start, samples, length, *none)
        frames = torch.stack([self._held[sample - start] for sample in samples])
        return loaded(window, self._window, frames)
