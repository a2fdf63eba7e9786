"""Detections on any video, from nothing but a checkpoint.

>>> predictor = load_predictor("data/06_models/synthetic/final_checkpoint")
>>> table = predictor.detect("holiday.mp4")
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import torch

from tad_blockdrop.config import PostprocessConfig
from tad_blockdrop.config.predict import BEST_F1, Wish
from tad_blockdrop.detections.pooling import VideoPool
from tad_blockdrop.detector.checkpoint import Checkpoint, in_nfc, read_newest
from tad_blockdrop.detector.decisions import Calibration
from tad_blockdrop.detector.model import Detector, from_checkpoint
from tad_blockdrop.metrics.calibration import with_probability
from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE, thresholds
from tad_blockdrop.prediction.stream import Reader, ReadingJob, ReadWindow, VideoStream, read_video
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.video.files.clock import PLAYER, Timing
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.guarded_processes import GivenUpError
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.problems import late_start
from tad_blockdrop.video.windows.batches import Batch, LoadedWindow, collate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one video of ``duration`` seconds, in ``seconds`` of work.

    ``detections``: as ``Predictor.detect`` gives them, highest score first. ``strongest``: the
    highest score found, even if it was too low to keep. ``start`` (s) and ``fps``: of the video's
    frames. ``plays``: whether browsers play its file.
    """

    detections: pd.DataFrame
    duration: float
    seconds: float
    strongest: float
    start: float
    fps: float
    plays: bool

    @property
    def speed(self) -> float:
        """Seconds of video per second of work: a multiple of real time."""
        return self.duration / self.seconds


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model with all it needs to turn video files into detections.

    ``thresholds``: lowest score to keep, by class.
    ``timing``: how the seconds of videos are counted. ``calibration``: of scores, if there is one.
    """

    model: Detector
    classes: tuple[str, ...]
    sampling: Sampling
    postprocess: PostprocessConfig
    thresholds: Mapping[str, float]
    timing: Timing = PLAYER
    calibration: Calibration | None = None

    def detect(self, path: str | Path, min_score: float | None = None) -> pd.DataFrame:
        """Detections in the video at ``path``: video_id, start, end (s), label, score.

        With a calibration also probability, that a detection is right.
        ``min_score``: the lowest score to keep (0: what evaluation keeps), instead of the
        checkpoint's operating point of each class. Raises DecodeError if the video cannot be
        read.
        """
        return self.predict(Path(path), Path(path).stem, min_score).detections

    def predict(
        self,
        path: Path,
        video_id: str,
        min_score: float | None = None,
        batch: int = 1,
        reader: Reader = read_video,
    ) -> Prediction:
        """Like ``detect``, ``batch`` windows at a time, with the time it took.

        ``reader`` decodes the video: ``read_video`` in this process, or
        ``GuardedStream(read_apart, timeout)`` in one of its own, in parallel and with a timeout.
        """
        job = ReadingJob(path, video_id, self.sampling, self.model.window, self.timing)
        try:
            with closing(reader(job)) as arriving:
                return self._detect(arriving, min_score, batch)
        except GivenUpError as error:
            raise DecodeError(path, str(error)) from error

    def _detect(
        self, arriving: Iterator[VideoStream | ReadWindow], min_score: float | None, batch: int
    ) -> Prediction:
        begin = time.perf_counter()
        stream = next(arriving)
        assert isinstance(stream, VideoStream)
        for said in (late_start(stream.line.start, stream.line.fps), stream.line.note):
            if said:
                logger.warning("%s: %s", stream.record.video_id, said)
        limits = self.limits(min_score)
        suppression = self.suppression(min(limits.values()))
        pool = VideoPool([stream.record], self.classes, self.model.window, suppression)
        steps = -(-len(stream.windows()) // batch)
        strongest = 0.0
        with torch.inference_mode():
            what = f"detecting in {stream.record.video_id}"
            for part in progress(_batches(arriving, batch), what, total=steps):
                on_device = part.to(self.model.device)
                output = self.model(on_device.frames, on_device.mask)
                strongest = max(
                    strongest, float(output.logits[output.mask].max().float().sigmoid())
                )
                pool.add(part.windows, output)
        found = pool.detections()
        enough = found["score"] >= found["label"].map(limits).astype(float)
        kept = found[enough].reset_index(drop=True)
        return Prediction(
            detections=with_probability(kept, self.calibration),
            duration=stream.record.duration,
            seconds=time.perf_counter() - begin,
            strongest=strongest,
            start=stream.line.start,
            fps=stream.line.fps,
            plays=stream.plays,
        )

    def limits(self, min_score: float | None) -> Mapping[str, float]:
        """The lowest score to keep of each class: ``min_score``, or the operating points."""
        if min_score is None:
            return self.thresholds
        return dict.fromkeys(self.classes, min_score)

    def suppression(self, lowest: float) -> PostprocessConfig:
        """Post-processing that keeps all detections with at least the score ``lowest``.

        Evaluation's limit of detections per video would drop some of a long one, and the threshold
        is limit enough. Soft-NMS goes from the best down and only lowers scores: what starts below
        ``lowest`` changes nothing above it, except in voting.
        """
        config = self.postprocess
        if lowest <= config.min_score:
            return config
        changes: dict[str, float] = {"max_detections": sys.maxsize}
        if config.voting_tiou is None:
            changes["min_score"] = 0.99 * lowest  # a score at the threshold survives rounding
        return config.model_copy(update=changes)


def load_predictor(
    folder: str | Path, device: str | torch.device = "cpu", wish: Wish = BEST_F1
) -> Predictor:
    """The predictor of a checkpoint folder, or of the newest version below it.

    ``wish``: what its thresholds are for, such as ``Wish("precision", 0.9)``. Raises
    CheckpointError if there is no readable checkpoint, NoPointError if it has no such thresholds.
    """
    return make_predictor(read_newest(folder), device, wish=wish)


def make_predictor(
    checkpoint: Checkpoint,
    device: str | torch.device = "cpu",
    timing: Timing = PLAYER,
    wish: Wish = BEST_F1,
) -> Predictor:
    """The predictor of a checkpoint that is in memory; errors as ``load_predictor``."""
    checkpoint = in_nfc(checkpoint)
    limits = thresholds(checkpoint, wish)
    if set(limits.values()) == {DEFAULT_SCORE}:
        logger.warning(
            "the checkpoint states no operating point: detections with a score of at least %.2f "
            "are kept; set predict.min_score to see more or fewer",
            DEFAULT_SCORE,
        )
    return Predictor(
        model=from_checkpoint(checkpoint, device),
        classes=checkpoint.classes,
        sampling=Sampling(checkpoint.every, checkpoint.fps),
        postprocess=checkpoint.postprocess,
        thresholds=limits,
        timing=timing,
        calibration=checkpoint.decisions.calibration if checkpoint.decisions else None,
    )


def _batches(arriving: Iterator[VideoStream | ReadWindow], size: int) -> Iterable[Batch]:
    """What comes after the stream: its windows."""
    windows = (read for read in arriving if not isinstance(read, VideoStream))
    tensors = (
        LoadedWindow(window, torch.from_numpy(frames), torch.from_numpy(mask))
        for window, frames, mask in windows
    )
    while part := list(islice(tensors, size)):
        yield collate(part)
