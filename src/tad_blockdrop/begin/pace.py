"""How long the parts of a job take, before it has begun: measured on one window."""

from collections.abc import Mapping
from dataclasses import dataclass

from tad_blockdrop.baseline.training import new_detector
from tad_blockdrop.begin.trial import extraction
from tad_blockdrop.config import Parameters
from tad_blockdrop.preflight import measuring
from tad_blockdrop.preflight.forecast import repair_clips, repair_states
from tad_blockdrop.preflight.stages import hours_of, predict
from tad_blockdrop.preflight.work import OneWindow, Work, count_work
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset

REPORT_MINUTES = 1.0  # start, checks, export of tables, plots
SHORTENING = ("ranking", "repair", "alignment")  # stages of the loop


@dataclass(frozen=True)
class Pace:
    """Minutes of a job's parts: all that does not depend on the epochs, and an epoch.

    ``memory``: bytes at the peak; ``preparing``: seconds for each second of video before the first
    epoch. ``epoch`` is known from a trial only.
    """

    parts: Mapping[str, float]
    memory: float
    preparing: float
    epoch: float = 0.0

    def total(self, epochs: int) -> float:
        """Minutes of the whole job."""
        return sum(self.parts.values()) + epochs * self.epoch

    def epochs_in(self, minutes: float, least: int, most: int) -> int:
        """The epochs that fit into ``minutes``, within bounds."""
        left = minutes - self.total(0)
        return max(least, min(most, int(left / self.epoch)))


@dataclass(frozen=True)
class Sample:
    """What a window took, and seconds for each second of video: of frames, and of features.

    Without features where these are learned.
    """

    one: OneWindow
    frames: float
    features: float


def measure(few: ActionDataset, whole: ActionDataset, settings: Parameters) -> Sample:
    """Measure on a window of ``few``, which has proxies, with a network without training."""
    runtime = Runtime(settings.runtime)  # its threads
    model = new_detector(settings.detector, len(few.classes), settings.data, settings.baseline, 0)
    record = measuring.choose_record(few.records("train"), settings.data)
    for _ in range(2):  # the first time is slower than all others
        detection = measuring.measure_detection(model, record, settings)
        scoring = measuring.measure_scoring(model, record, settings)
        training, batch, read_out = measuring.measure_recipes(model, record, settings)
    clips = repair_clips(_work(whole, settings), settings)
    one = OneWindow(
        proxies=0.0,
        reading=measuring.measure_reading(record, settings.data, runtime.device),
        training=training,
        batch=batch,
        scoring=scoring,
        detection=detection,
        repair=measuring.measure_repair(model, record, clips, settings),
        read_out=read_out,
    )
    window = settings.data.window
    features = detection.seconds / (1 - window.overlap) * record.rate / window.frames
    frozen = settings.baseline.train.tuning == "frozen"
    return Sample(one, extraction(whole, record.video_id, settings), features if frozen else 0.0)


def pace_of(sample: Sample, whole: ActionDataset, settings: Parameters) -> Pace:
    """How long the parts of the job on ``whole`` take: upper bounds, as those of ``preflight``."""
    one, work = sample.one, _work(whole, settings)
    hours = hours_of(predict(work, one, settings))
    seconds = whole.videos.groupby("split")["duration"].sum()
    parts = {
        "frames": sample.frames * float(seconds.sum()) / 60,
        "shortening": 60 * sum(hours.get(stage, 0.0) for stage in SHORTENING),
        "evaluation and report": 60 * hours["evaluation"] + REPORT_MINUTES,
    }
    if sample.features:
        parts["features"] = sample.features * float(seconds.drop("test").sum()) / 60
    works = (one.training, one.scoring, one.detection, one.repair)
    memory = max(each.memory for each in works if each)
    if one.repair is not None:
        memory += repair_states(repair_clips(work, settings), settings)
    return Pace(parts, memory, sample.frames + sample.features)


def _work(whole: ActionDataset, settings: Parameters) -> Work:
    train, held, test = (whole.records(split) for split in ("train", "holdout", "test"))
    return count_work(train, held, test, settings)
