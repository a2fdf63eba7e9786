"""One stretch of a source: its samples in, its detections out, each once and at its time."""

from dataclasses import dataclass

import numpy as np
import torch

from tad_blockdrop.config import WindowConfig
from tad_blockdrop.detections.pooling import VideoPool
from tad_blockdrop.detections.postprocess import Proposals, concatenate
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.prediction.live.settling import Settler
from tad_blockdrop.prediction.live.windows import RollingWindows
from tad_blockdrop.prediction.predictor import Predictor
from tad_blockdrop.video.files.container import Pixels
from tad_blockdrop.video.windows.batches import LoadedWindow, collate
from tad_blockdrop.video.windows.cutting import VideoRecord

# Of a window: what is waited for proposals that reach back out of theirs. On the generated
# benchmark the farthest of 1,374 above their thresholds reached out by 0.095 of a window.
_MARGIN = 1 / 8
_LOOK = 1 / 8  # of a window: how often detections are decided
_USUAL = 2.0  # windows: the longest delay, if none is asked for


class DelayError(BlockDropError):
    """A delay that the windows of the model do not allow."""


@dataclass(frozen=True)
class Delay:
    """Seconds of the source between the end of a detection and the moment it is decided.

    ``usual``: where nothing that overlaps it goes on; ``longest``: always.
    """

    usual: float
    longest: float

    @classmethod
    def of(cls, window: WindowConfig, rate: float, longest: float | None) -> "Delay":
        """By the window, the ``rate`` of samples and what was asked for. Raises DelayError."""
        length = window.frames / rate
        usual = (1 + _MARGIN + _LOOK) * length
        if longest is None:
            return cls(usual, _USUAL * length)
        if longest < usual:
            raise DelayError(
                f"watch.max_delay ({longest:g} s) is too short for this model: its windows are "
                f"{length:.2f} s long ({window.frames} samples, {rate:g} a second), and with what "
                f"is waited for neighbours it takes {usual:.2f} s"
            )
        return cls(usual, longest)


class Stretch:
    """Detections by the predictor's model, above its ``limits`` for ``min_score``.

    ``strongest``: the highest score that was proposed.
    """

    def __init__(
        self, predictor: Predictor, min_score: float | None, rate: float, delay: Delay
    ) -> None:
        lowest = predictor.limits(min_score)
        limits = np.array([lowest[label] for label in predictor.classes])
        config = predictor.suppression(float(limits.min()))
        window = predictor.model.window
        endless = VideoRecord(
            "", "", 0, rate, np.inf, np.empty((0, 2)), np.empty(0, np.int64)
        )  # fmt: skip
        self._model, self._rate, self._delay = predictor.model, rate, delay
        self._pool = VideoPool([endless], predictor.classes, window, config)
        self._windows = RollingWindows(endless.video_id, window)
        memory = delay.longest + 2 * window.frames / rate
        self._settler = Settler(config, limits, memory)
        self._look = max(1, round(window.frames * _LOOK))
        self.strongest = 0.0

    @property
    def seconds(self) -> float:
        """How much of it has come."""
        return self._windows.count / self._rate

    @property
    def doubtful(self) -> tuple[int, int]:
        """Detections decided ``early``, and proposals that came ``late``: live/settling.py."""
        return self._settler.early, self._settler.late

    def add(self, pixels: Pixels) -> Proposals:
        """Take the next sample; what is now decided, in seconds of the stretch."""
        window = self._windows.add(pixels)
        if window is not None:
            self._detect(window)
        if self._windows.count % self._look:
            return concatenate([])
        before = (self._windows.count - self._model.window.frames) / self._rate
        next_look = self.seconds + self._look / self._rate
        margin = _MARGIN * self._model.window.frames / self._rate
        return self._settler.settle(before - margin, next_look - self._delay.longest)

    def finish(self, duration: float) -> Proposals:
        """All that is left, when the stretch ended after ``duration`` seconds."""
        window = self._windows.last()
        if window is not None:
            self._detect(window)
        return self._settler.finish(duration)

    def _detect(self, window: LoadedWindow) -> None:
        batch = collate([window]).to(self._model.device)
        with torch.inference_mode():
            output = self._model(batch.frames, batch.mask)
        score = output.logits[output.mask].max().float().sigmoid()
        self.strongest = max(self.strongest, float(score))
        for found in self._pool.proposals(batch.windows, output):
            self._settler.add(found)
